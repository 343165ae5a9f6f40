"""The trials that a study's rows make up, kept current as single rows change."""

from bisect import bisect_left
from collections import Counter

from optuna.trial import FrozenTrial, TrialState

from sweeps.study.rows.row import outcome_of, root_of, standing


class Trials:
    """Every trial by its root, how many there are of each outcome, and which rows wait.

    `put` takes time for the rows of one trial, whatever the size of the study.
    """

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, FrozenTrial]] = {}
        self._roots: list[int] = []  # ascending: a trial's first row is its root
        self._outcomes: dict[int, str] = {}
        self._waiting: dict[int, int] = {}
        self.unfinished: set[int] = set()
        """The numbers of the rows that run or wait."""
        self.counts: Counter[str] = Counter()
        """How many trials there are of each outcome."""

    def put(self, row: FrozenTrial) -> None:
        """Take in a row that is new or has changed."""
        root = root_of(row)
        if root not in self._rows:
            self._rows[root] = {}
            self._roots.append(root)
        self._rows[root][row.number] = row
        self._waiting.pop(row.number, None)
        (self.unfinished.discard if row.state.is_finished() else self.unfinished.add)(row.number)
        if row.state == TrialState.WAITING:
            self._waiting[row.number] = root
        outcome = outcome_of(standing(self.rows(root)))
        if outcome != (before := self._outcomes.get(root)):
            if before:
                self.counts[before] -= 1
            self.counts[outcome] += 1
            self._outcomes[root] = outcome

    def rows(self, root: int) -> list[FrozenTrial]:
        """Return a trial's rows, in order."""
        return list(self._rows[root].values())

    def roots(self, *outcomes: str) -> list[int]:
        """Return the trials of these outcomes, in order."""
        return [root for root in self._roots if self._outcomes[root] in outcomes]

    @property
    def place_of_next(self) -> int:
        """Return how many trials were asked for, or enqueued, before the one that is asked next."""
        if not self._waiting:
            return len(self._roots)
        return bisect_left(self._roots, self._waiting[min(self._waiting)])

    @property
    def waits(self) -> bool:
        """Tell whether a row stands ready."""
        return bool(self._waiting)
