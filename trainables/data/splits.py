"""One part of a data set: held in memory as one tensor, or streamed from a map-style dataset."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Batch = tuple[Tensor, Tensor]


class Examples(Protocol):
    """A map-style dataset of (input tensor, integer label)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Tensor, Any]: ...


class Split(ABC):
    """Examples addressed by index, delivered in batches on a device."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batches(self, order: Tensor, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """(inputs, labels) for consecutive runs of ``batch_size`` indices of ``order`` (int64 on the CPU); the last may be short."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, without the batch."""

    @abstractmethod
    def example(self) -> Tensor:
        """The first input as a batch of one, on the CPU."""

    def in_order(self, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """Every example once, first to last."""
        return self.batches(torch.arange(len(self)), batch_size, device)


class TensorSplit(Split):
    """A whole split as two tensors; moved to a device once and kept there."""

    def __init__(self, inputs: Tensor, labels: Tensor):
        self._on = {torch.device("cpu"): (inputs, labels)}
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """As `Split.input_shape`."""
        return tuple(self.inputs.shape[1:])

    def example(self) -> Tensor:
        """As `Split.example`."""
        return self.inputs[:1]

    def batches(self, order: Tensor, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """As `Split.batches`."""
        if device not in self._on:
            self._on[device] = self.inputs.to(device), self.labels.to(device)
        inputs, labels = self._on[device]
        for indices in order.to(device).split(batch_size):
            yield inputs.index_select(0, indices), labels.index_select(0, indices)


class StreamedSplit(Split):
    """Examples read one by one from a map-style dataset, by a DataLoader with ``workers`` processes.

    ``mean`` and ``std`` (one value a channel) normalise each batch on the device.
    """

    def __init__(self, dataset: Examples, workers: int = 0, mean: Tensor | None = None, std: Tensor | None = None):
        self.dataset, self.workers, self.mean, self.std = dataset, workers, mean, std

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """As `Split.input_shape`."""
        return tuple(self.dataset[0][0].shape)

    def example(self) -> Tensor:
        """As `Split.example`."""
        return self._normalised(self.dataset[0][0][None])

    def batches(self, order: Tensor, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """As `Split.batches`."""
        loader = DataLoader(
            cast(Dataset[tuple[Tensor, Any]], self.dataset),
            batch_sampler=[indices.tolist() for indices in order.split(batch_size)],
            num_workers=self.workers,
            pin_memory=device.type == "cuda",
        )
        for inputs, labels in loader:
            yield self._normalised(inputs.to(device, non_blocking=True)), labels.to(device, non_blocking=True)

    def _normalised(self, inputs: Tensor) -> Tensor:
        if self.mean is None or self.std is None:
            return inputs
        shape = (1, -1, *(1,) * (inputs.dim() - 2))
        return (inputs - self.mean.to(inputs.device).view(shape)) / self.std.to(inputs.device).view(shape)
