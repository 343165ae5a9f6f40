"""Which of the networks that keep the constraints becomes the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sweeps.study.selection.limits import ROUNDING
from sweeps.sweep_file.objectives.choose import Choose
from sweeps.sweep_file.objectives.metric import is_a_share
from trainables.metric_names import COMPRESSION, DIVERGENCE, LARGEST_ERROR, PARAMS_KEPT, VALIDATION, of_dense

ONE_POINT = 0.01
"""What a share may lose against the dense network where the sweep does not say."""


class Goal(Protocol):
    """A metric with the direction in which it is good."""

    @property
    def name(self) -> str:
        """Return the metric's name."""

    def gain(self, value: float) -> float:
        """Return the value, negative where less is better."""


@dataclass(frozen=True)
class Choice:
    """How the best is chosen.

    Without ``within`` it is the best on the objective ``goal``. With it, it is the smallest by ``size`` of
    those that are worse than their dense network by at most ``within`` on ``goal``; where there is none, the
    best on ``goal``.
    """

    goal: Goal
    within: float | None = None
    size: str = PARAMS_KEPT

    def best(self, networks: Sequence[Mapping[str, float]]) -> int | None:
        """Return the index of the best, of equals the first; ``networks`` hold the metrics of each."""
        if not networks:
            return None
        close = [index for index, metrics in enumerate(networks) if self.is_close(metrics)]
        if close:
            return min(close, key=lambda index: (networks[index][self.size], -self._gain(networks[index])))
        return max(range(len(networks)), key=lambda index: self._gain(networks[index]))

    def is_close(self, metrics: Mapping[str, float]) -> bool:
        """Tell whether a network is as near to its dense one as the choice asks."""
        dense = metrics.get(of_dense(self.goal.name))
        if self.within is None or dense is None or self.goal.name not in metrics or self.size not in metrics:
            return False
        return self.goal.gain(dense) - self._gain(metrics) <= self.within + ROUNDING

    def _gain(self, metrics: Mapping[str, float]) -> float:
        return self.goal.gain(metrics[self.goal.name])


def choice_of(asked: Choose | None, objectives: Sequence[Goal], primary: Goal) -> Choice:
    """Return how the best is chosen; ``primary`` is the task's first metric on validation.

    Where the sweep does not say: with one objective the best on it. Of several, where one is a share on
    validation and another a cost, the smallest within one point of dense; else the best on the first.
    """
    if asked and asked.best_on is not None:
        return Choice(next(objective for objective in objectives if objective.name == asked.best_on))
    quality = next((one for one in objectives if one.name.startswith(VALIDATION)), None)
    costs = [one.name for one in objectives if _is_cost(one)]
    size = costs[0] if costs else PARAMS_KEPT
    if asked:
        return Choice(quality or primary, asked.smallest_within, size)
    if quality and costs and is_a_share(quality.name) and quality.gain(1.0) > 0:
        return Choice(quality, ONE_POINT, size)
    return Choice(objectives[0])


def _is_cost(objective: Goal) -> bool:
    is_size = objective.name not in (DIVERGENCE, LARGEST_ERROR)
    return objective.name.startswith(COMPRESSION) and is_size and objective.gain(1.0) < 0
