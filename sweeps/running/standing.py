"""What has come of a study's trials so far, counted while it runs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sweeps.running.conductor import CONSTRAINT
from sweeps.study.record import Objective, TrialRecord

_ENDS = ("complete", "stopped_early", "failed")
"""How a trial ends that counts towards the study's target."""


class Standing:
    """Counts trials by how they ended; keeps the best value of the first objective, and the front of several.

    ``trials`` are those that had ended before.
    """

    def __init__(self, objectives: Sequence[Objective], trials: Iterable[TrialRecord] = ()) -> None:
        self._objectives = objectives
        self.counts: Counter[str] = Counter()
        self.best: float | None = None
        self.best_key: str | None = None
        self._front: list[tuple[float, ...]] = []
        for trial in trials:
            if trial.outcome not in ("running", "waiting"):
                self.counts[trial.outcome] += 1
            if trial.outcome == "complete" and trial.values:
                self._take(trial.key, trial.values)

    @property
    def done(self) -> int:
        """Return how many trials have ended of those that the study is to have."""
        return sum(self.counts[end] for end in _ENDS)

    @property
    def front(self) -> int:
        """Return how many networks no other beats in every objective."""
        return len(self._front)

    def add(self, key: str, outcome: str, metrics: Mapping[str, Any]) -> None:
        """Count a trial that is over, by its last metrics; one that misses a constraint is never the best."""
        self.counts[outcome] += 1
        values = [metrics.get(objective.name) for objective in self._objectives]
        keeps_all = not any(name.startswith(CONSTRAINT) and metrics[name] > 0 for name in metrics)
        if outcome == "complete" and keeps_all and None not in values:
            self._take(key, [float(value) for value in values if value is not None])

    def _take(self, key: str, values: Sequence[float]) -> None:
        gains = tuple(o.gain(value) for o, value in zip(self._objectives, values, strict=True))
        first = self._objectives[0]
        if self.best is None or gains[0] > first.gain(self.best):
            self.best, self.best_key = values[0], key
        if not any(_is_as_good(other, gains) for other in self._front):
            self._front = [other for other in self._front if not _is_as_good(gains, other)] + [gains]


def _is_as_good(one: Sequence[float], other: Sequence[float]) -> bool:
    """Tell whether one network is at least as good as another in every objective."""
    return all(a >= b for a, b in zip(one, other, strict=True))
