"""The part of a study's past that a sampler is shown: its best rows and its latest."""

from bisect import insort
from collections.abc import Sequence

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

BEST = 50
"""How many of the best are shown. TPE models the best 25 of 250, or of more, as good."""


class Past:
    """The finished rows, in the order in which TPE finds them good.

    Those that keep every constraint come first, complete before stopped ones; then the others, by how much
    they miss. With several objectives a row is good that no other beats in all of them.
    """

    def __init__(self, directions: Sequence[StudyDirection]):
        self._signs = [-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in directions]
        self._ranked: list[tuple[tuple[float, ...], int]] = []
        self._front: dict[int, tuple[float, ...]] = {}
        self._finished: list[int] = []

    def put(self, row: FrozenTrial) -> None:
        """Take in a row that has just ended; one that failed tells a sampler nothing."""
        if row.state not in (TrialState.COMPLETE, TrialState.PRUNED):
            return
        insort(self._finished, row.number)
        missed = sum(violation for violation in row.constraints.values() if violation > 0)
        losses = tuple(sign * value for sign, value in zip(self._signs, row.values or (), strict=False))
        if len(self._signs) == 1 or missed or row.state == TrialState.PRUNED:
            stopped = row.state == TrialState.PRUNED
            last = -max(row.intermediate_values, default=0) if stopped else 0
            insort(self._ranked, ((missed, stopped, last, *losses), row.number))
        elif not any(_beats(other, losses) for other in self._front.values()):
            beaten = [number for number, other in self._front.items() if _beats(losses, other)]
            for number in beaten:
                del self._front[number]
            self._front[row.number] = losses

    def shown(self, most: int) -> list[int]:
        """Return the numbers of the best rows and of the latest ones, ``most`` in all, in order."""
        best = [*list(self._front)[-BEST:], *(number for _, number in self._ranked[:BEST])][:BEST]
        shown = set(best)
        for number in reversed(self._finished):
            if len(shown) >= most:
                break
            shown.add(number)
        return sorted(shown)


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= its for mine, its in zip(one, other, strict=True))
