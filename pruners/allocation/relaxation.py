"""The linear relaxation of the multiple-choice knapsack: the least error that fractions could have."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pruners.allocation.options import Options


class Relaxation:
    """The least sum of errors of some layers as a function of the budget, were fractions of steps allowed.

    It is a lower bound of what whole options reach: the layers' lower convex hulls, whose steps are taken
    by their gain in error for each unit of cost, the largest first.
    """

    def __init__(self, layers: Sequence[Options]) -> None:
        self.least = sum(int(layer.costs[0]) for layer in layers)
        hulls = [_hull(layer) for layer in layers]
        steps = np.concatenate([np.diff(cost) for cost, _ in hulls] or [np.zeros(0)])
        gains = np.concatenate([-np.diff(error) for _, error in hulls] or [np.zeros(0)])
        order = np.argsort(-gains / steps, kind="stable")
        start = sum(float(error[0]) for _, error in hulls)
        self._costs = self.least + np.concatenate([[0.0], np.cumsum(steps[order])])
        self._errors = start - np.concatenate([[0.0], np.cumsum(gains[order])])

    def bound(self, budgets: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the bound for each budget; infinite where not even the cheapest options fit."""
        return np.where(budgets < self.least, np.inf, np.interp(budgets, self._costs, self._errors))


def _hull(layer: Options) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The options on the lower convex hull of (cost, error)."""
    costs, errors = layer.costs.astype(np.float64), layer.errors
    kept: list[int] = []
    for i in range(len(costs)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (errors[a] - errors[b]) * (costs[i] - costs[a]) > (errors[a] - errors[i]) * (
                costs[b] - costs[a]
            ):
                break
            kept.pop()
        kept.append(i)
    return costs[kept], errors[kept]
