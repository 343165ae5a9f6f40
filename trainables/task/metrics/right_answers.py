"""Which examples of a split a network told right, so that two networks can be compared example by example."""

import base64
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.task.metrics.classes import Accuracy


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
        """Return the bits as JSON holds them: the number of examples, and eight of them a byte in base64."""
        if not self._one_each or not self._right:
            return None
        right = torch.cat(self._right).cpu().numpy()
        return {"examples": len(right), "right": base64.b64encode(np.packbits(right).tobytes()).decode()}


def unpacked(packed: dict[str, Any]) -> NDArray[np.bool_]:
    """Return what `RightAnswers.packed` holds, one truth an example."""
    whole = np.frombuffer(base64.b64decode(packed["right"]), dtype=np.uint8)
    return np.unpackbits(whole, count=packed["examples"]).astype(np.bool_)
