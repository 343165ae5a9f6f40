"""Images of CIFAR's shape and number, or small ones of ImageNet's classes, drawn from a seed one by one.

For checking what needs the data's form and not its content.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset


class Images(Dataset[tuple[Tensor, int]]):
    """``count`` images of noise, the first of them number ``first``; the classes take turns."""

    def __init__(self, first: int, count: int, classes: int, side: int = 32):
        self.first, self.count, self.classes, self.side = first, count, range(classes), side

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        number = self.first + index
        generator = torch.Generator().manual_seed(number)
        return torch.randn(3, self.side, self.side, generator=generator), number % len(self.classes)


def cifar10(train: int = 45_000, other: int = 5_000) -> dict[str, Any]:
    return _splits(train, other, 10)


def cifar100(train: int = 45_000, other: int = 5_000) -> dict[str, Any]:
    return _splits(train, other, 100)


def image_folder(train: int = 45_000, other: int = 5_000) -> dict[str, Any]:
    return _splits(train, other, 1000, side=64)


class LabelledImages(Images):
    """The same with a class for each pixel, every eighth row without one (255)."""

    def __getitem__(self, index: int) -> Any:
        image, first = super().__getitem__(index)
        maps = (image.argmax(0) + first) % len(self.classes)
        maps[::8] = 255
        return image, maps


def voc_folder(train: int = 1_464, other: int = 150) -> dict[str, Any]:
    """Images of VOC's classes, 64 pixels wide and high."""
    parts = {"train": (0, train), "validation": (train, other), "test": (train + other, other)}
    made = {name: LabelledImages(first, count, 21, 64) for name, (first, count) in parts.items()}
    return {**made, "num_classes": 21}


def _splits(train: int, other: int, classes: int, side: int = 32) -> dict[str, Any]:
    return {
        "train": Images(0, train, classes, side),
        "validation": Images(train, other, classes, side),
        "test": Images(train + other, other, classes, side),
    }
