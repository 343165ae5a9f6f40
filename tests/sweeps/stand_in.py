"""Images of CIFAR's shape and number, drawn from a seed one by one.

For checking what needs the data's form and not its content.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset


class Images(Dataset[tuple[Tensor, int]]):
    """``count`` images of noise, the first of them number ``first``; the classes take turns."""

    def __init__(self, first: int, count: int, classes: int):
        self.first, self.count, self.classes = first, count, range(classes)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        number = self.first + index
        return torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(number)), number % len(
            self.classes
        )


def cifar10(train: int = 45_000, other: int = 5_000) -> dict[str, Any]:
    return _splits(train, other, 10)


def cifar100(train: int = 45_000, other: int = 5_000) -> dict[str, Any]:
    return _splits(train, other, 100)


def _splits(train: int, other: int, classes: int) -> dict[str, Any]:
    return {
        "train": Images(0, train, classes),
        "validation": Images(train, other, classes),
        "test": Images(train + other, other, classes),
    }
