"""Which examples of a split a network told right, so that two networks can be compared example by example."""

from typing import Any

import torch
from torch import Tensor

from trainables.task.metrics.classes import Accuracy
from trainables.task.metrics.packed import packed


class RightAnswers:
    """Keeps one bit an example, in the split's order, of a task that is measured by accuracy.

    Counts beside a split's metrics. Nothing is kept where an example has several labels: these are not told
    independently.
    """

    def __init__(self, ignored: int):
        self._accuracy = Accuracy(ignored)
        self._right: list[Tensor] = []
        self._one_each = True

    def update(self, outputs: Any, labels: Tensor) -> None:
        """Keep which examples of a batch were told right."""
        right = self._accuracy.told_right(outputs, labels)
        self._one_each = self._one_each and right.numel() == len(right)
        if self._one_each:
            self._right.append(right.flatten())

    def compute(self) -> float:
        """Return how many were told right."""
        return float(sum(int(right.sum()) for right in self._right))

    def packed(self) -> dict[str, Any] | None:
        """Return which were told right as JSON holds it; None where an example has several labels."""
        if not self._one_each or not self._right:
            return None
        return packed(torch.cat(self._right).cpu().numpy())
