"""The linear relaxation of the multiple-choice knapsack: the least error that fractions could have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruners.allocation.options import Options, lower_hull

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bound:
    """A lower bound of some layers' summed error as a function of their budget.

    It is piecewise linear between ``costs`` (ascending) with ``errors``.
    """

    costs: Numbers
    errors: Numbers

    def at(self, budgets: NDArray[np.int64]) -> Numbers:
        """Return the bound for each budget; infinite where not even the cheapest options fit."""
        return np.where(budgets < self.costs[0], np.inf, np.interp(budgets, self.costs, self.errors))


class Relaxation:
    """The steps along the layers' lower convex hulls of (cost, error), those of the largest gain first.

    Were fractions of a step allowed, taking them in this order would be best (Sinha and Zoltners: The
    multiple-choice knapsack problem, Operations Research 1979).
    """

    def __init__(self, layers: Sequence[Options]) -> None:
        hulls = [layer.only(lower_hull(layer)) for layer in layers]
        self._owners = np.repeat(np.arange(len(hulls)), [len(hull.costs) - 1 for hull in hulls])
        steps = np.concatenate([np.zeros(0), *(np.diff(hull.costs) for hull in hulls)])
        gains = np.concatenate([np.zeros(0), *(-np.diff(hull.errors) for hull in hulls)])
        order = np.argsort(-gains / steps, kind="stable")
        self._owners, self._steps, self._gains = self._owners[order], steps[order], gains[order]
        self._first = np.array([(hull.costs[0], hull.errors[0]) for hull in hulls]).reshape(-1, 2)

    def bound(self, chosen: NDArray[np.bool_]) -> Bound:
        """Return the bound for the chosen layers together."""
        cost, error = self._first[chosen].sum(axis=0)
        used = chosen[self._owners]
        return Bound(
            cost + np.concatenate([[0.0], np.cumsum(self._steps[used])]),
            error - np.concatenate([[0.0], np.cumsum(self._gains[used])]),
        )
