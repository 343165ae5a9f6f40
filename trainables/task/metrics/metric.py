"""What a metric has to do: count batch after batch, and tell one number for the whole split."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class Metric(ABC):
    """How good a network's outputs are over a split; a new one for every split that is gone through.

    Sums are kept over all examples, so that the number does not depend on how the split was cut into batches.
    """

    def __init__(self, ignored: int):
        self.ignored = ignored
        """The label that says that a position counts for nothing."""

    @abstractmethod
    def update(self, outputs: Any, labels: Tensor) -> None:
        """Count a batch. Raises `TaskError` where outputs and labels are not of the metric's kind."""

    @abstractmethod
    def compute(self) -> float:
        """Return the number for everything counted so far; NaN where that is nothing."""
