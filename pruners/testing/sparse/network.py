"""A small network of all the layers that a mask may have to do with, and what methods score it with."""

from typing import Any

import torch
from torch import Tensor, nn


class OddNetwork(nn.Module):
    """(n, 4, 6, 6) to three classes, 873 prunable weights.

    Grouped, 1x1 and one-dimensional convolutions, a frozen and a shared weight.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(17)
        self.stem = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.grouped = nn.Conv2d(6, 8, 3, groups=2)
        self.pointwise = nn.Conv2d(8, 5, 1)
        self.line = nn.Conv1d(5, 3, 2, stride=2)
        self.dropout = nn.Dropout(0.2)
        self.hidden = nn.Linear(24, 10)
        self.first, self.second = nn.Linear(10, 10), nn.Linear(10, 10)
        self.second.weight = self.first.weight
        self.gate = nn.Linear(1, 1)
        self.output = nn.Linear(10, 3)
        self.pointwise.weight.requires_grad_(False)
        self.stem.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Run the network."""
        x = torch.relu(self.grouped(self.stem(x)))
        x = torch.tanh(self.line(torch.tanh(self.pointwise(x)).flatten(2)))
        x = torch.tanh(self.hidden(self.dropout(x.flatten(1))))
        x = torch.tanh(self.second(torch.tanh(self.first(x))))
        return self.output(x) * self.gate(x.new_ones(1, 1))


WEIGHTS = 873


def given(dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Return data, loss and example for any method: two batches in class order."""
    generator = torch.Generator().manual_seed(4)
    labels = torch.arange(3).repeat_interleave(4)
    batches = [(torch.randn(12, 4, 6, 6, generator=generator).to(dtype), labels) for _ in range(2)]
    return {
        "data": batches,
        "loss": nn.functional.cross_entropy,
        "example": torch.ones(1, 4, 6, 6, dtype=dtype),
    }


def best(scores: dict[str, Tensor], count: int, lowest: bool = False) -> dict[str, Tensor]:
    """Return the masks of the ``count`` highest scores by a sort of everything, the earlier of equal ones."""
    flat = torch.cat([score.flatten() for score in scores.values()])
    order = torch.sort(flat, descending=not lowest, stable=True).indices[:count]
    keep = torch.zeros(len(flat), dtype=torch.bool).index_fill(0, order, True)
    parts = keep.split([score.numel() for score in scores.values()])
    return {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}
