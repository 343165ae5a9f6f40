"""The plan of a training: each step's images, random numbers and learning rate follow from its number."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from trainables import seeds
from trainables.config import TrainingConfig
from trainables.task.data.splits import Batch, Split
from trainables.training.schedule import factor


@dataclass(frozen=True)
class StepPlan:
    """One seed's way through a training of ``horizon`` steps.

    ``order`` numbers the orders in which the same seed may visit the images; with ``last_rate`` every step
    has the learning rate that the schedule ends with (fine-tuning). Labels ``ignored`` count for nothing. No
    rate is above ``largest_rate``.
    """

    training: TrainingConfig
    seed: int
    steps_per_epoch: int
    horizon: int
    order: int = 0
    last_rate: bool = False
    ignored: int = -100
    largest_rate: float = math.inf

    def rate(self, step: int) -> float:
        """Return the learning rate of a step (from 0).

        It is read at the step's middle, so that neither the first nor the last has rate 0.
        """
        epoch, within = divmod(self.horizon - 1 if self.last_rate else step, self.steps_per_epoch)
        middle = epoch + (within + 0.5) / self.steps_per_epoch
        share = factor(self.training.schedule, middle, self.horizon / self.steps_per_epoch)
        return min(self.training.lr * share, self.largest_rate)

    def batches(self, split: Split, first: int, last: int, device: torch.device) -> Iterator[Batch]:
        """Return the batches of steps ``first`` to ``last`` (that one left out), which lie in one epoch."""
        epoch, within = divmod(first, self.steps_per_epoch)
        order = seeds.permutation(len(split), self.seed, epoch, self.order)
        size = self.training.batch_size
        drawn = seeds.derive(self.seed, "batches", epoch)  # for what a streamed data set draws
        return split.batches(order[within * size : (within + last - first) * size], size, device, drawn)

    def epoch_end(self, step: int) -> int:
        """Return the first step of the epoch after that of ``step``."""
        return (step // self.steps_per_epoch + 1) * self.steps_per_epoch
