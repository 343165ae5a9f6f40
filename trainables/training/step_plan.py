"""The plan of a training: each step's images, random numbers and learning rate follow from its number."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from trainables import seeds
from trainables.config import TrainingConfig
from trainables.task.data.splits import Batch, Split
from trainables.training.schedule import factor


@dataclass(frozen=True)
class Part:
    """The rows of a batch of ``whole`` examples that one process computes: ``first`` to ``last``, that one
    left out. Without ``counts`` they only keep it in step with the others.
    """

    first: int
    last: int
    whole: int
    counts: bool = True

    @property
    def rows(self) -> slice:
        """Return the rows as a slice of the batch."""
        return slice(self.first, self.last)

    @property
    def weight(self) -> float:
        """Return which share of the batch's examples these are."""
        return (self.last - self.first) / self.whole if self.counts else 0.0


@dataclass(frozen=True)
class Share:
    """Which of the processes that share a training this one is, from 0, and ``of`` how many."""

    index: int = 0
    of: int = 1

    def part(self, batch: int, full: int) -> Part:
        """Return this process's part of a batch: consecutive rows, as many as each other's or one more.

        A last batch, shorter than a ``full`` one, goes to as few processes as leaves two examples for each,
        since BatchNorm cannot train on one; to more where some have one of a full batch, which may be all
        that there is memory for. The others go through its first rows, which count for nothing.
        """
        least = 2 if full >= 2 * self.of else 1
        among = min(self.of, max(1, batch // least))
        if self.index >= among:
            return Part(0, min(least, batch), batch, counts=False)
        each, more = divmod(batch, among)
        first = self.index * each + min(self.index, more)
        return Part(first, first + each + (self.index < more), batch)


WHOLE = Share()
"""The share of a process that trains alone."""


@dataclass(frozen=True)
class StepPlan:
    """One seed's way through a training of ``horizon`` steps.

    ``order`` numbers the orders in which the same seed may visit the images; with ``last_rate`` every step
    has the learning rate that the schedule ends with (fine-tuning). Labels ``ignored`` count for nothing. No
    rate is above ``largest_rate``. Of each batch a process computes its ``share``; ``weight`` says of labels
    how much their mean loss weighs.
    """

    training: TrainingConfig
    seed: int
    steps_per_epoch: int
    horizon: int
    order: int = 0
    last_rate: bool = False
    ignored: int = -100
    largest_rate: float = math.inf
    share: Share = WHOLE
    weight: Callable[[Tensor], int | Tensor] = len

    def rate(self, step: int) -> float:
        """Return the learning rate of a step (from 0).

        It is read at the step's middle, so that neither the first nor the last has rate 0.
        """
        epoch, within = divmod(self.horizon - 1 if self.last_rate else step, self.steps_per_epoch)
        middle = epoch + (within + 0.5) / self.steps_per_epoch
        share = factor(self.training.schedule, middle, self.horizon / self.steps_per_epoch)
        return min(self.training.lr * share, self.largest_rate)

    def part(self, step: int, examples: int) -> Part:
        """Return the share of the batch of a step of which this process computes the gradient."""
        left = examples - step % self.steps_per_epoch * self.training.batch_size
        size = self.training.batch_size
        return self.share.part(min(size, left), size)

    def batches(self, split: Split, first: int, last: int, device: torch.device) -> Iterator[Batch]:
        """Return this process's share of the batches of steps ``first`` to ``last`` (that one left out),
        which lie in one epoch.
        """
        epoch, within = divmod(first, self.steps_per_epoch)
        order = seeds.permutation(len(split), self.seed, epoch, self.order)
        size = self.training.batch_size
        order = order[within * size : (within + last - first) * size]
        drawn = seeds.derive(self.seed, "batches", epoch)  # for what a streamed data set draws
        if self.share.of == 1:
            return split.batches(order, size, device, drawn)
        whole = len(order) // size * size
        in_whole, in_last = order[:whole].view(-1, size), order[whole:]
        part = self.share.part(size, size)
        own = in_whole[:, part.rows].reshape(-1)
        batches = split.batches(own, part.last - part.first, device, drawn) if whole else iter(())
        if not len(in_last):
            return batches
        own = in_last[self.share.part(len(in_last), size).rows]
        return chain(batches, split.batches(own, len(own), device, drawn))

    def epoch_end(self, step: int) -> int:
        """Return the first step of the epoch after that of ``step``."""
        return (step // self.steps_per_epoch + 1) * self.steps_per_epoch
