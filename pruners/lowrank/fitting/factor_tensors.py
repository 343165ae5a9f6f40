"""The factors of layers as the small network's weights."""

from collections.abc import Mapping

from torch import Tensor

from pruners.lowrank.decompose import weight_names, weights_from_factors
from pruners.lowrank.factors.factoring import Truncation
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.network_spectra import Spectra


def unfitted_tensors(spectra: Spectra, cuts: Mapping[str, Cut]) -> dict[str, Tensor]:
    """Return the weights of layers decomposed into two, each slice truncated.

    By their names in the small network, in the layers' own dtype, on the CPU.
    """
    tensors: dict[str, Tensor] = {}
    for name, cut in cuts.items():
        tensors |= Truncation().tensors(spectra.layers[name], cut)
    return tensors


def factor_tensors(layer: LayerSpectra, left: Tensor, right: Tensor) -> dict[str, Tensor]:
    """Return the two weights that factors of the layer's slices make, by their names in the small network.

    ``left`` is groups x k x rows x rank, ``right`` groups x k x rank x (columns / k).
    """
    linear = layer.weight.dim() == 2
    pair = weights_from_factors(layer.shape, linear, left, right)
    return {
        name: weight.to(layer.weight.dtype)
        for name, weight in zip(weight_names(layer.name), pair, strict=True)
    }
