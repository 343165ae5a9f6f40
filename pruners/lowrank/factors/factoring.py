"""How the weights of a decomposed layer are found: here by truncating each slice's SVD."""

from abc import ABC, abstractmethod

from torch import Tensor

from pruners.lowrank.decompose import weight_names, weights_from_factors
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.spectra.layer_error import layer_errors
from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.residual import slice_factors


class Factoring(ABC):
    """A way from a dense layer's weight to those of the layers that stand for it."""

    @abstractmethod
    def weights(self, layer: LayerSpectra, cut: Cut) -> tuple[Tensor, ...]:
        """Return the weights in the layers' order, in float64 on the CPU."""

    @abstractmethod
    def errors(self, layer: LayerSpectra, cut: Cut) -> dict[str, float]:
        """Return what these weights leave out, by each of the five metrics."""

    def tensors(self, layer: LayerSpectra, cut: Cut) -> dict[str, Tensor]:
        """Return the weights by their names in the small network, in the layer's own dtype."""
        names, weights = weight_names(layer.name, cut.form), self.weights(layer, cut)
        return {name: weight.to(layer.weight.dtype) for name, weight in zip(names, weights, strict=True)}


class Truncation(Factoring):
    """Each slice's best approximation of a rank (Eckart, Young and Mirsky), in the cut's folding."""

    def weights(self, layer: LayerSpectra, cut: Cut) -> tuple[Tensor, ...]:
        """Return the two weights."""
        factors = slice_factors(layer.folded(cut.form), cut.rank, cut.num_subspaces)
        return weights_from_factors(layer.shape, layer.weight.dim() == 2, *factors, cut.form)

    def errors(self, layer: LayerSpectra, cut: Cut) -> dict[str, float]:
        """Return the errors from the slices' singular values."""
        return layer_errors(layer.folded(cut.form), cut.rank, cut.num_subspaces)
