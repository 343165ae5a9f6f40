"""The factors of layers as the small network's weights."""

from collections.abc import Mapping

from torch import Tensor

from pruners.lowrank.decompose import pair_names, weights_from_factors
from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.lowrank.spectra.residual import slice_factors


def unfitted_tensors(spectra: Spectra, cuts: Mapping[str, tuple[int, int]]) -> dict[str, Tensor]:
    """Return the weights of layers decomposed at {layer: (rank, num_subspaces)}, each slice truncated.

    By their names in the small network, in the layers' own dtype, on the CPU.
    """
    tensors: dict[str, Tensor] = {}
    for name, (rank, num_subspaces) in cuts.items():
        layer = spectra.layers[name]
        tensors |= factor_tensors(layer, *slice_factors(layer, rank, num_subspaces))
    return tensors


def factor_tensors(layer: LayerSpectra, left: Tensor, right: Tensor) -> dict[str, Tensor]:
    """Return the two weights that factors of the layer's slices make, by their names in the small network.

    ``left`` is groups x k x rows x rank, ``right`` groups x k x rank x (columns / k).
    """
    linear = layer.weight.dim() == 2
    pair = weights_from_factors(layer.shape, linear, left, right)
    return {
        name: weight.to(layer.weight.dtype) for name, weight in zip(pair_names(layer.name), pair, strict=True)
    }
