"""Networks and images that methods which choose ranks are tested with."""

from typing import Any

import torch
from torch import Tensor, nn


class SideBySide(nn.ModuleDict):
    """(n, 200) to the outputs of all layers in one row, each of them on the first of the values."""

    def forward(self, x: Tensor) -> Tensor:
        """Run every layer on as many of the values as it takes."""
        return torch.cat([layer(self._taken(layer, x)).flatten(1) for layer in self.values()], dim=1)

    @staticmethod
    def _taken(layer: Any, x: Tensor) -> Tensor:
        if hasattr(layer, "in_features"):  # a decomposed Linear has it too
            return x[:, : layer.in_features]
        return x[:, : 25 * layer.in_channels].unflatten(1, (-1, 5, 5))


def odd_network() -> SideBySide:
    """Make a network of layers of all shapes that are easily forgotten."""
    torch.manual_seed(11)
    return SideBySide(
        {
            "pointwise": nn.Conv2d(8, 12, 1),
            "depthwise": nn.Conv2d(8, 8, 3, groups=8),
            "multiplied": nn.Conv2d(5, 20, 3, groups=5),
            "prime": nn.Conv2d(7, 13, 3),
            "gray": nn.Conv2d(1, 9, 5),
            "single": nn.Conv2d(6, 1, 3),
            "scalar": nn.Linear(1, 1),
            "wide": nn.Linear(64, 10),
            "tall": nn.Linear(10, 64),
        }
    )


def small_network() -> nn.Sequential:
    """Make a network from (n, 4, 8, 8) to ten classes: convolutions, one of them grouped, and Linears."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(4, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 12, 3, stride=2, padding=1, groups=3, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(192, 30),
        nn.ReLU(),
        nn.Linear(30, 10),
    ).eval()


def batch() -> Tensor:
    """Draw a batch of inputs of `small_network`."""
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(5))


def images(*shape: int, number: int = 40) -> Tensor:
    """Draw calibration images of a shape."""
    return torch.randn(number, *shape, generator=torch.Generator().manual_seed(8))
