"""A group of processes that share a trial's trainings, as the trial's own process sees it."""

import shutil
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainables.errors import LeaseLost, ProcessLost, StoreError, TrainingError

Outcome = Literal["done", "lost", "failed", "store", "again", "out_of_touch"]
"""It did as it was told; it died; its training failed; the store did; it is to be tried again; it lost touch
with the others, which says nothing of why.
"""

_POLL = 0.01
_PATIENCE: dict[Outcome, float] = {"lost": 0, "out_of_touch": 60}
_PATIENCE_WITH_FAILED = 1.0
"""Seconds that the others are given, after one failed, to show what is behind it: Ray needs a while to notice
a lost node.
"""


@dataclass(frozen=True)
class Answer:
    """What became of a command, ``said`` in a line, with the ``trace`` of what was raised."""

    outcome: Outcome
    said: str = ""
    trace: str = ""


class Member(ABC):
    """One process of a group."""

    @abstractmethod
    def ask(self, command: str, given: str) -> None:
        """Tell it what to do."""

    @abstractmethod
    def answer(self) -> Answer | None:
        """Return what came of the last command, None while it is at it."""

    @abstractmethod
    def end(self) -> None:
        """End the process at once, whatever it does."""


class ProcessGroup(ABC):
    """``size`` processes that train together; they begin with the first training and go on until `close`.

    All that may block for ever, or be ended with its process, is left to them: the trial's own process only
    asks and waits, and ends all of them when one fails.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._members: list[Member] = []
        self._folders: list[str] = []
        # for who never closes it
        self._finalizer = weakref.finalize(self, _end, self._members, self._folders)

    def train(self, folder: Path, device: str) -> None:
        """Have all of them do the work in ``folder``, on a ``device`` each: cpu or cuda.

        Raises `ProcessLost` when one died or they lost touch, and otherwise what the training raises.
        """
        try:
            if not self._members:
                self._members.extend(self._begun(device))
                self._all("join", self._meeting_place())
            self._all("train", str(folder))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all processes; the next training begins them anew."""
        _end(self._members, self._folders)

    @abstractmethod
    def _begun(self, device: str) -> list[Member]:
        """Begin the processes, which are not waited for."""

    @abstractmethod
    def _meeting_place(self) -> str:
        """Return the URL by which they find each other: ``file://PATH``, with which nothing leaves this
        machine, or ``tcp://HOST:PORT``.
        """

    def _meeting_file(self) -> str:
        """Return the URL of a file by which processes of this machine find each other."""
        self._folders.append(tempfile.mkdtemp(prefix="tombola-"))
        return f"file://{self._folders[-1]}/meeting"

    def _all(self, command: str, given: str) -> None:
        for member in self._members:
            member.ask(command, given)
        waiting, wrong, until = dict(enumerate(self._members)), [], float("inf")
        while waiting and time.monotonic() < until:
            for index, member in list(waiting.items()):
                if answer := member.answer():
                    del waiting[index]
                    if answer.outcome != "done":
                        wrong.append((index, answer))
                        patience = _PATIENCE.get(answer.outcome, _PATIENCE_WITH_FAILED)
                        until = min(until, time.monotonic() + patience)
            time.sleep(_POLL)
        if wrong:
            raise _error(wrong, self.size)


def _end(members: list[Member], folders: list[str]) -> None:
    while members:
        members.pop().end()
    while folders:
        shutil.rmtree(folders.pop(), ignore_errors=True)


def _error(wrong: list[tuple[int, Answer]], size: int) -> Exception:
    """Return what is behind the answers: a death before what it led to, a reason before a lost connection."""
    order = {"lost": 0, "out_of_touch": 2}
    index, answer = min(wrong, key=lambda one: order.get(one[1].outcome, 1))
    which = f"process {index + 1} of the {size} that share the training"
    error: Exception
    if answer.outcome == "lost":
        error = ProcessLost(f"{which} was lost: {answer.said}")
    elif answer.outcome == "out_of_touch":
        error = ProcessLost(f"{which} lost touch with the others: {answer.said}")
    elif answer.outcome == "again":
        error = LeaseLost(answer.said)
    else:
        error = StoreError(answer.said) if answer.outcome == "store" else TrainingError(answer.said)
    if answer.trace:
        error.add_note(f"In {which}:\n{answer.trace}")
    return error
