"""One part of a data set: held in memory as tensors, or streamed from a map-style dataset."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from pruners.network.inputs import Inputs, input_tensors, map_tensors, move_inputs, take_inputs
from trainables.task.data.streaming import Collate, SeededItems

Batch = tuple[Any, Tensor]
"""Inputs in any of the forms of `pruners.network.inputs.Inputs`, and labels: int64 or float32, (N, ...)."""


class Examples(Protocol):
    """A map-style dataset of (input, label), several inputs and a label, or dictionaries with the label."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Split(ABC):
    """Examples addressed by index, delivered in batches on a device."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batches(self, order: Tensor, batch_size: int, device: torch.device, seed: int = 0) -> Iterator[Batch]:
        """Yield (inputs, labels) for consecutive runs of ``batch_size`` indices of ``order``.

        ``order`` is int64 on the CPU; the last batch may be short. What examples draw at random when they are
        read follows from ``seed`` and their index.
        """

    @abstractmethod
    def first(self) -> Batch:
        """Return the first example as a batch of one, on the CPU."""

    def example(self) -> Any:
        """Return the first input as a batch of one, on the CPU."""
        return self.first()[0]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of one input, without the batch; of the first where an example has several."""
        return tuple(input_tensors(self.example())[0].shape[1:])

    def read_by(self, workers: int) -> Self:
        """Have the same examples read by so many processes where they are not in memory."""
        return self

    def in_order(self, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """Go through every example once, first to last, in batches."""
        return self.batches(torch.arange(len(self)), batch_size, device)


class TensorSplit(Split):
    """A whole split in tensors; moved to a device once and kept there."""

    def __init__(self, inputs: Inputs, labels: Tensor):
        self._on = {torch.device("cpu"): (inputs, labels)}
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.labels)

    def first(self) -> Batch:
        """Return the first example as a batch of one, on the CPU."""
        return take_inputs(self.inputs, slice(1)), self.labels[:1]

    def batches(self, order: Tensor, batch_size: int, device: torch.device, seed: int = 0) -> Iterator[Batch]:
        """Yield batches (inputs, labels) cut from the tensors on ``device``; nothing is drawn at random."""
        if device not in self._on:
            self._on[device] = move_inputs(self.inputs, device), self.labels.to(device)
        inputs, labels = self._on[device]
        for indices in order.to(device).split(batch_size):
            yield map_tensors(_selecting(indices), inputs), labels.index_select(0, indices)


class Drawn(Split):
    """Some examples of a split: those at ``indices``, in this order."""

    def __init__(self, split: Split, indices: Tensor):
        self._split, self._indices = split, indices

    def __len__(self) -> int:
        return len(self._indices)

    def first(self) -> Batch:
        """Return the first example of the split that they are of, as a batch of one, on the CPU."""
        return self._split.first()

    def batches(self, order: Tensor, batch_size: int, device: torch.device, seed: int = 0) -> Iterator[Batch]:
        """Yield the split's own batches of these examples."""
        return self._split.batches(self._indices[order], batch_size, device, seed)


@dataclass(frozen=True, eq=False)
class StreamedSplit(Split):
    """Examples read one by one from a map-style dataset, by a DataLoader with ``workers`` processes.

    ``mean`` and ``std`` (one value a channel) normalise each batch of a single input on the device.
    ``collate`` makes a batch of items.
    """

    dataset: Examples
    workers: int = 0
    mean: Tensor | None = None
    std: Tensor | None = None
    collate: Callable[[list[Any]], Any] = default_collate

    def __len__(self) -> int:
        return len(self.dataset)

    def first(self) -> Batch:
        """Read the first example as a batch of one, on the CPU."""
        inputs, labels = Collate(self.collate)([SeededItems(self.dataset, 0)[0]])
        return self._normalised(inputs), labels

    def read_by(self, workers: int) -> Self:
        """Have the same examples read by so many processes."""
        return replace(self, workers=workers)

    def batches(self, order: Tensor, batch_size: int, device: torch.device, seed: int = 0) -> Iterator[Batch]:
        """Read batches (inputs, labels) and yield them on ``device``, normalised."""
        loader = DataLoader(
            SeededItems(self.dataset, seed),
            batch_sampler=[indices.tolist() for indices in order.split(batch_size)],
            num_workers=self.workers,
            collate_fn=Collate(self.collate),
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # without one it draws from the global generator
        )
        for inputs, labels in loader:
            yield (
                self._normalised(move_inputs(inputs, device, non_blocking=True)),
                labels.to(device, non_blocking=True),
            )

    def _normalised(self, inputs: Any) -> Any:
        if self.mean is None or self.std is None:
            return inputs
        shape = (1, -1, *(1,) * (inputs.dim() - 2))
        return (inputs - self.mean.to(inputs.device).view(shape)) / self.std.to(inputs.device).view(shape)


def _selecting(indices: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor.index_select(0, indices)
