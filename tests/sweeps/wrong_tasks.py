"""A user's own losses, data and networks by which every trial of a sweep would fail."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

Pair = tuple[Tensor, Tensor]


def nonscalar(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, labels, reduction="none")


def of_shape_one(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, labels).reshape(1)


def a_float(outputs: Tensor, labels: Tensor) -> float:
    return functional.cross_entropy(outputs, labels).item()


def nothing(outputs: Tensor, labels: Tensor) -> None:
    functional.cross_entropy(outputs, labels)


def detached(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(outputs.detach(), labels)


def of_images(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.mse_loss(outputs.reshape(len(labels), 1, 8, 8), labels)


def zero_over_zero(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, labels) * 0 / (outputs - outputs).sum()


def own_cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, labels)


def _data(
    train: Pair | None = None, validation: Pair | None = None, test: Pair | None = None
) -> dict[str, Any]:
    return {
        "train": train or _pair(40),
        "validation": validation or _pair(20),
        "test": test or _pair(20),
        "num_classes": 10,
    }


def _pair(count: int, at: int = 0, inputs: float | None = None, label: int | None = None) -> Pair:
    """Digits of noise; example ``at`` holds the number ``inputs`` somewhere, and is of class ``label``."""
    generator = torch.Generator().manual_seed(count)
    images, labels = torch.randn(count, 1, 8, 8, generator=generator), torch.arange(count) % 10
    if inputs is not None:
        images[at, 0, 3, 3] = inputs
    if label is not None:
        labels[at] = label
    return images, labels


def minus_one() -> dict[str, Any]:
    return _data(train=_pair(40, at=37, label=-1))


def minus_hundred() -> dict[str, Any]:
    return _data(train=_pair(40, at=3, label=-100))


def beyond_in_validation() -> dict[str, Any]:
    return _data(validation=_pair(20, at=19, label=10))


def beyond_in_test() -> dict[str, Any]:
    return _data(test=_pair(20, at=0, label=99))


def nan_inputs() -> dict[str, Any]:
    return _data(train=_pair(40, at=31, inputs=float("nan")))


def infinite_test_inputs() -> dict[str, Any]:
    return _data(test=_pair(20, at=5, inputs=float("inf")))


class _Streamed(Dataset[tuple[Tensor, int]]):
    """Noise that streams; one of it in ten is what ``inputs`` and ``label`` say."""

    def __init__(self, count: int, inputs: float = 0.0, label: int | None = None):
        self.count, self.inputs, self.label = count, inputs, label

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(index))
        wrong = index % 10 == 3
        return (
            image + self.inputs if wrong else image,
            self.label if wrong and self.label is not None else index % 10,
        )


def streamed_nan() -> dict[str, Any]:
    return {
        "train": _Streamed(40, float("nan")),
        "validation": _Streamed(20),
        "test": _Streamed(20),
        "num_classes": 10,
    }


def streamed_label() -> dict[str, Any]:
    return {
        "train": _Streamed(40),
        "validation": _Streamed(20, label=-1),
        "test": _Streamed(20),
        "num_classes": 10,
    }


class _Body(nn.Module):
    """A small network that is fine."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.last(self.first(x.flatten(1)).relu())
        return outputs


class _TrainFails(_Body):
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError("no mode to train in")
        return super().forward(x)


class _OneExampleOnly(_Body):
    """Can be looked at with one example, and with no more."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(1, 1, 8, 8))


class _SpatialOutputs(_Body):
    """Classes at two places for a label that has one."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., None].expand(-1, -1, 2)


class _InPlace(_Body):
    """Overwrites what the backward pass needs."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1)).sigmoid()
        outputs: Tensor = self.last(hidden)
        if self.training:
            hidden.zero_()
        return outputs


class _AsksForItsLayers(_Body):
    """Runs as long as its layers are what it made them."""

    def forward(self, x: Tensor) -> Tensor:
        if type(self.first) is not nn.Linear:
            raise TypeError("first is no Linear any more")
        return super().forward(x)


class _AsksWhenEvaluated(_Body):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training and type(self.first) is not nn.Linear:
            raise TypeError("first is no Linear any more")
        return super().forward(x)


def train_fails() -> nn.Module:
    return _TrainFails()


def one_example_only() -> nn.Module:
    return _OneExampleOnly()


def spatial_outputs() -> nn.Module:
    return _SpatialOutputs()


def in_place() -> nn.Module:
    return _InPlace()


def asks_for_its_layers() -> nn.Module:
    return _AsksForItsLayers()


def asks_when_evaluated() -> nn.Module:
    return _AsksWhenEvaluated()


def frozen() -> nn.Module:
    return _Body().requires_grad_(False)


def a_choice(fails: bool = False) -> nn.Module:
    """A network of which one choice of its option works."""
    return _TrainFails() if fails else _Body()
