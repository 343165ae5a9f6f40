"""Metrics of networks that tell values: how far outputs lie from labels."""

import math
from abc import abstractmethod
from typing import Any, final

import torch
from torch import Tensor

from trainables.task.loss import aligned
from trainables.task.metrics.metric import Metric


class _OfDistances(Metric):
    """A sum over all values of outputs and labels, which are of one shape."""

    def __init__(self, ignored: int):
        super().__init__(ignored)
        self._sum: Tensor | float = 0.0
        self._values = 0

    def update(self, outputs: Any, labels: Tensor) -> None:
        """Add up a batch's differences. Raises `TaskError` where outputs and labels differ in shape."""
        outputs, labels = aligned(outputs, labels)
        self._sum = self._sum + self._of_values(outputs.double() - labels.double()).sum()
        self._values += labels.numel()

    @staticmethod
    @abstractmethod
    def _of_values(differences: Tensor) -> Tensor:
        """Return what each difference adds to the sum."""

    def compute(self) -> float:
        """Return the mean over all values counted; NaN where that is none."""
        return float(self._sum) / self._values if self._values else float("nan")


@final
class MeanAbsoluteError(_OfDistances):
    """The mean of |output - label| over all values."""

    @staticmethod
    def _of_values(differences: Tensor) -> Tensor:
        return differences.abs()


@final
class RootMeanSquaredError(_OfDistances):
    """The square root of the mean of (output - label)^2 over all values."""

    @staticmethod
    def _of_values(differences: Tensor) -> Tensor:
        return torch.square(differences)

    def compute(self) -> float:
        """Return the root of the mean over all values counted; NaN where that is none."""
        return math.sqrt(super().compute())
