"""What can go wrong in a trial, each in one or two sentences for the person who wrote the sweep file."""

import difflib
from collections.abc import Iterable


class TaskError(ValueError):
    """The task as configured cannot be: an unknown name, a missing file, a factory that fails."""


class Refused(TaskError):
    """What every such trial would fail by; ``key`` is the path of the key that is to be mended."""

    def __init__(self, key: tuple[str, ...], message: str):
        super().__init__(message)
        self.key = key


class Incompatible(TaskError):
    """Settings that are sound each by itself and do not go together: in a search, a draw that cannot be."""


class TrainingError(RuntimeError):
    """Training broke down: the loss is no longer finite."""


class StoreError(RuntimeError):
    """The store cannot be written; what it holds is intact and the same command continues from it."""


class TryAgain(RuntimeError):
    """What happened says nothing about the trial, which goes on from its last snapshots when tried again."""


class LeaseLost(TryAgain):
    """What this process was training or reading is another's by now, or removed: the trial is tried again."""


class ProcessLost(TryAgain):
    """A process that shares in a training died, or is out of reach: the trial is tried again."""


class StoreWarning(UserWarning):
    """An entry of the store is built again, a training goes on elsewhere, or code or data are uncertain."""


def nearest(name: str, known: Iterable[str]) -> str:
    """End a sentence about an unknown ``name``: with the closest of ``known``, or all if none is close."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}."
