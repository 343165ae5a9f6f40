"""How the weights of a decomposed layer are found: here by truncating each slice's SVD."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from pruners.lowrank.decompose import order_name, weight_names, weights_from_factors
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


@final
@dataclass(frozen=True)
class Truncation(Factoring):
    """Each slice's best approximation of a rank (Eckart, Young and Mirsky), in the cut's folding or clusters.

    ``seed`` is for the clusters' starts.
    """

    seed: int = 0

    def weights(self, layer: LayerSpectra, cut: Cut) -> tuple[Tensor, ...]:
        """Return the two weights."""
        factors = slice_factors(self._arranged(layer, cut), cut.rank, cut.num_subspaces)
        return weights_from_factors(layer.shape, layer.weight.dim() == 2, *factors, cut.form)

    def errors(self, layer: LayerSpectra, cut: Cut) -> dict[str, float]:
        """Return the errors from the slices' singular values."""
        return layer_errors(self._arranged(layer, cut), cut.rank, cut.num_subspaces)

    def tensors(self, layer: LayerSpectra, cut: Cut) -> dict[str, Tensor]:
        """Return the weights, and the order of the input channels where it is another."""
        tensors, order = super().tensors(layer, cut), self._arranged(layer, cut).order
        return tensors if order is None else tensors | {order_name(layer.name): order.to(torch.int32)}

    def _arranged(self, layer: LayerSpectra, cut: Cut) -> LayerSpectra:
        return layer.arranged(cut.form, cut.num_subspaces, self.seed)
