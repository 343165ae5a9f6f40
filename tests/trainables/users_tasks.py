"""Tasks that are no classification of one tensor, as a user writes them: small, every label to be learned."""

from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler

SPLITS = ("train", "validation", "test")


def _draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def line_data(dtype: str = "float64") -> dict[str, tuple[numpy.ndarray, numpy.ndarray]]:
    """Labels (N,) that are a sum of the inputs, as numpy arrays."""
    inputs = numpy.random.default_rng(0).normal(size=(120, 6)).astype(dtype)
    labels = inputs @ numpy.arange(6) / 6
    return {name: (inputs[part::3], labels[part::3]) for part, name in enumerate(SPLITS)}


def line_network(outputs: int = 1, squeeze: bool = False) -> nn.Module:
    body = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, outputs))
    return nn.Sequential(body, nn.Flatten(0)) if squeeze else body


def label_data(floats: bool = False) -> dict[str, tuple[Tensor, Tensor]]:
    """Five labels 0 or 1 of each example, as integers."""
    inputs = torch.randn(120, 6, generator=_draw(1))
    labels = (inputs[:, :5] + inputs[:, 5:] > 0.2).to(torch.float32 if floats else torch.int64)
    return {name: (inputs[part::3], labels[part::3]) for part, name in enumerate(SPLITS)}


def map_data() -> tuple[Dataset[Any], Dataset[Any], Dataset[Any]]:
    """Images (2, 8, 8) and maps of the brighter channel, a tenth without a label (255), streamed as bytes."""
    images = torch.randn(60, 2, 8, 8, generator=_draw(2))
    maps = images.argmax(1).to(torch.uint8)
    maps[torch.rand(maps.shape, generator=_draw(3)) < 0.1] = 255
    parts = (TensorDataset(images[part::3], maps[part::3]) for part in range(3))
    return tuple(parts)  # type: ignore[return-value]


def half_map_data() -> dict[str, tuple[Tensor, Tensor]]:
    """Images (2, 8, 8) with maps of half their height and width."""
    images = torch.randn(12, 2, 8, 8, generator=_draw(2))
    maps = images[:, :, ::2, ::2].argmax(1)
    return {name: (images[part::3], maps[part::3]) for part, name in enumerate(SPLITS)}


def map_network(classes: int = 2) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, classes, 1),
    )


class Pairs(Dataset[dict[str, Tensor]]):
    """Examples that are dictionaries: two inputs and the label among them."""

    def __init__(self, count: int, seed: int):
        self.left, self.right = (
            torch.randn(count, 4, generator=_draw(seed)),
            torch.randn(count, 3, generator=_draw(seed + 1)),
        )
        self.labels = (self.left.sum(1) > self.right.sum(1)).long()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"left": self.left[index], "right": self.right[index], "label": self.labels[index]}


class PairNetwork(nn.Module):
    def __init__(self, width: int = 16):
        super().__init__()
        self.left, self.right, self.end = nn.Linear(4, width), nn.Linear(3, width), nn.Linear(width, 2)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.end(torch.relu(self.left(left) + self.right(right)))


def streamed_pairs() -> dict[str, Any]:
    return {name: Pairs(60, 10 * seed) for seed, name in enumerate(SPLITS)} | {"num_classes": 2}


def loaded_pairs(sampler: bool = False) -> dict[str, Any]:
    """The same in DataLoaders."""
    parts = {
        name: DataLoader(Pairs(60, 10 * seed), batch_size=7, shuffle=True) for seed, name in enumerate(SPLITS)
    }
    if sampler:
        parts["train"] = DataLoader(Pairs(60, 0), sampler=WeightedRandomSampler([1.0] * 60, 60))
    return parts | {"num_classes": 2}


def held_pairs() -> dict[str, dict[str, Tensor]]:
    """The same in memory."""
    parts = {name: Pairs(60, 10 * seed) for seed, name in enumerate(SPLITS)}
    return {
        name: {"left": part.left, "right": part.right, "labels": part.labels} for name, part in parts.items()
    }


def noisy_pairs() -> dict[str, Any]:
    """Pairs whose inputs are drawn when they are read, from torch and from numpy."""

    class Noisy(Pairs):
        def __getitem__(self, index: int) -> dict[str, Tensor]:
            # what augmentations draw from
            noise = 0.1 * torch.randn(4) + float(numpy.random.rand())  # noqa: NPY002
            return super().__getitem__(index) | {"left": self.left[index] + noise}

    return {name: Noisy(60, 10 * seed) for seed, name in enumerate(SPLITS)} | {"num_classes": 2}
