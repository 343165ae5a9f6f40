"""Sums over the gradients at a layer's outputs."""

import torch
from torch import Tensor, nn

from pruners.calibration.moments.columns import Layer, computable
from pruners.calibration.moments.moment import Moment, mirrored


class GradientSum:
    """Sums of the gradients at each output position of a layer and of their outer products, in float64."""

    def __init__(self, layer: Layer) -> None:
        self.groups = 1 if isinstance(layer, nn.Linear) else layer.groups
        self._dimensions = 0 if isinstance(layer, nn.Linear) else len(layer.kernel_size)
        rows, device = len(layer.weight) // self.groups, layer.weight.device
        self._second = torch.zeros(self.groups, rows, rows, dtype=torch.float64, device=device)
        self._first = torch.zeros(self.groups, rows, dtype=torch.float64, device=device)
        self.columns = 0

    def add(self, gradient: Tensor) -> None:
        """Add the gradient at the output of one call, (N, channels, ...) or (..., features)."""
        channels = gradient.movedim(-1 - self._dimensions, 0)
        columns = computable(channels.reshape(*self._first.shape, -1))
        self._second += columns @ columns.mT
        self._first += columns.sum(-1).double()
        self.columns += columns.shape[-1]

    def moment(self) -> Moment:
        """Divide the sums by the number of positions."""
        return Moment.of_sums(mirrored(self._second), self._first, self.columns)
