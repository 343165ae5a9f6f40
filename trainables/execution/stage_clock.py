"""How long a trial's work took, by what it was."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

Work = Literal["training", "compressing", "retraining", "measuring"]
"""What takes a trial's time: *retraining* is training after a compression.

What the store has already takes none.
"""


class StageClock:
    """Adds up seconds of wall time by what was done in them."""

    def __init__(self) -> None:
        self.seconds: dict[Work, float] = {}

    @contextmanager
    def timed(self, work: Work) -> Iterator[None]:
        """Count the block's time; blocks of one clock are never within each other."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[work] = self.seconds.get(work, 0.0) + time.perf_counter() - began


def seconds_of(clocks: Iterable[StageClock]) -> dict[str, float]:
    """Add the seconds of several clocks."""
    found: dict[str, float] = {}
    for clock in clocks:
        for work, seconds in clock.seconds.items():
            found[work] = found.get(work, 0.0) + seconds
    return found
