"""Sums over a layer's columns, written out."""

import torch
from torch import Tensor, nn

from pruners.calibration.moments.columns import Layer, computable, layer_columns
from pruners.calibration.moments.moment import mirrored

_ELEMENTS = 2**22  # of columns that are written out at once
_ROWS = 512  # of the product made at once; only those on and right of the diagonal


class ColumnSum:
    """Sums of a layer's columns and of their outer products, in float64 on the network's device."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        groups = 1 if isinstance(layer, nn.Linear) else layer.groups
        n = layer.weight[0].numel()
        self._second = torch.zeros(groups, n, n, dtype=torch.float64, device=layer.weight.device)
        self._first = torch.zeros(groups, n, dtype=torch.float64, device=layer.weight.device)
        self.columns = 0

    def add(self, inputs: Tensor) -> None:
        """Add the columns of one call's inputs, (N, ...)."""
        n = self._second.shape[-1]
        expansion = 1 if isinstance(self.layer, nn.Linear) else self.layer.weight[0, 0].numel()
        for part in inputs.split(max(1, _ELEMENTS * len(inputs) // max(1, inputs.numel() * expansion))):
            columns = layer_columns(self.layer, computable(part))
            for row in range(0, n, _ROWS):
                self._second[:, row : row + _ROWS, row:] += (
                    columns[:, row : row + _ROWS] @ columns[:, row:].mT
                )
            self._first += columns.sum(-1).double()
            self.columns += columns.shape[-1]

    def second(self) -> Tensor:
        """Return the sum of the columns' outer products, (groups, n, n)."""
        return mirrored(self._second)

    def first(self) -> Tensor:
        """Return the sum of the columns, (groups, n)."""
        return self._first
