"""The steps of a trial between its beginning and its end."""

from abc import ABC, abstractmethod
from typing import Any

Metrics = dict[str, Any]


class TrialSteps(ABC):
    """A trial's training and pruning, a step at a time: all its state lies in the store, so that it can be
    begun again anywhere.
    """

    @abstractmethod
    def advance(self) -> Metrics:
        """Go one step further; return its metrics. ``final`` says that it was the last, and that the trial's
        result is written.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop here; what was trained stays in the store and others may go on with it."""
