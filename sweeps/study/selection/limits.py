"""Constraints as they are held against trials."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sweeps.sweep_file.objectives.constraint import Constraint
from trainables.metric_names import of_dense

ROUNDING = 1e-9
"""What equal fractions, told as floats, may differ by."""


@dataclass(frozen=True)
class Limit:
    """One constraint: ``metric`` is at most (``is_most``) or at least a bound.

    The bound is ``amount``, or that much (``from_dense``) above or below what the trial's own dense network
    reaches.
    """

    metric: str
    is_most: bool
    amount: float
    from_dense: bool

    @property
    def name(self) -> str:
        """Return the constraint in words, as in ``compress/latency_ms at most 2``: its name in the study."""
        if self.from_dense:
            return f"{self.metric} within {self.amount:.10g} of dense"
        return f"{self.metric} at {'most' if self.is_most else 'least'} {self.amount:.10g}"

    def excess(self, metrics: Mapping[str, Any]) -> float:
        """Return by how much a trial's metrics miss the bound, in the metric's unit; 0 or less: they keep it.

        Infinite where the trial does not tell the metric, or it is no number.
        """
        value, bound = metrics.get(self.metric), self.bound(metrics)
        if value is None or bound is None:
            return math.inf
        excess = float(value - bound if self.is_most else bound - value)
        if math.isnan(excess):
            return math.inf
        return 0.0 if 0 < excess <= ROUNDING * max(1.0, abs(bound)) else excess

    def missed_by(self, excess: float) -> str:
        """Say that the constraint is missed, and by how much in the metric's unit."""
        return f"{self.name} by {excess:.3g}" if math.isfinite(excess) else f"{self.name}, which is not told"

    def violation(self, metrics: Mapping[str, Any]) -> float:
        """Return the excess as a share of the bound, so that those of several constraints compare."""
        return self.excess(metrics) / (abs(self.bound(metrics) or 0.0) or 1.0)

    def bound(self, metrics: Mapping[str, Any]) -> float | None:
        """Return the bound of a trial with these metrics; None where they do not tell its dense network's."""
        if not self.from_dense:
            return self.amount
        dense = metrics.get(of_dense(self.metric))
        return None if dense is None else dense + (self.amount if self.is_most else -self.amount)


def limits_of(constraints: Iterable[Constraint], goals: Mapping[str, str]) -> tuple[Limit, ...]:
    """Return the sweep's constraints; ``goals`` of the task's metrics say which side of dense is worse."""
    return tuple(_limit(constraint, goals) for constraint in constraints)


def _limit(constraint: Constraint, goals: Mapping[str, str]) -> Limit:
    if constraint.within is not None:
        is_most = goals[constraint.metric] == "minimize"
        return Limit(constraint.metric, is_most, constraint.within, from_dense=True)
    if constraint.at_most is not None:
        return Limit(constraint.metric, True, constraint.at_most, from_dense=False)
    assert constraint.at_least is not None
    return Limit(constraint.metric, False, constraint.at_least, from_dense=False)
