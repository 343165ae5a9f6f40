"""A budget spent over layers so that the sum of their errors is as small as possible, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pruners.allocation.options import Options, worthwhile_options
from pruners.allocation.relaxation import Relaxation
from pruners.errors import InfeasibleBudget

_BEAM = 500  # states a layer that the first search keeps
_AT_ONCE = 2**20  # new states that are looked at together


def knapsack(costs: Sequence[ArrayLike], errors: Sequence[ArrayLike], budget: int) -> list[int]:
    """Choose one option of each layer so that the errors' sum is smallest within ``budget``.

    This is the multiple-choice knapsack problem. ``costs`` (whole numbers of at least 0, in any unit) and
    ``errors`` (of at least 0; an infinite one is never chosen) have an array of equal length for every
    layer, in any order. Returns each layer's index into its arrays. Of choices with the same sum it is the
    cheapest, and of equally cheap ones that with the cheaper option in the first layer where they differ
    (sums are those of floats, added from the first layer on, and ones that differ by 1e-12 of the
    largest sum count as different only where they are).

    Exact: options that cost more than another without a smaller error go; so do those that cannot be part of
    anything better than what a narrow search found, by the bound of the linear relaxation. Then all
    sums of the first layers, the first two and so on are listed as pairs (cost, error), without those
    that another one dominates and those that no rest can complete to anything better (Kellerer, Pferschy,
    Pisinger: Knapsack Problems, 2004, chapter 11; Nemhauser and Ullmann 1969).

    Raises InfeasibleBudget (with ``least``) where nothing is within the budget, and PrunerError for arrays
    that are not as described.
    """
    layers = [worthwhile_options(i, c, e) for i, (c, e) in enumerate(zip(costs, errors, strict=True))]
    least = sum(int(layer.costs[0]) for layer in layers)
    if least > budget:
        raise InfeasibleBudget(f"The cheapest options together cost {least}, more than {budget}.", least)
    found = _Search(layers, budget).run(np.inf, _BEAM)
    for _ in range(2):
        layers = _without_hopeless(layers, budget, found.error)
    picks = _Search(layers, budget).run(found.error, None).picks
    return [int(layer.indices[pick]) for layer, pick in zip(layers, picks, strict=True)]


@dataclass(frozen=True)
class _Found:
    error: float
    picks: list[int]


class _Search:
    """The list of all sums worth completing, layer by layer."""

    def __init__(self, layers: Sequence[Options], budget: int) -> None:
        self.layers, self.budget = layers, budget
        self._rests = [Relaxation(layers[i + 1 :]) for i in range(len(layers))]
        self._slack = _slack(layers)

    def run(self, known: float, width: int | None) -> _Found:
        """Find the best choice whose error is at most ``known``.

        Of each number of layers at most ``width`` sums, those of the least bounds, are completed.
        """
        costs, errors, ranks = np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.int64)
        trail = []
        for layer, rest in zip(self.layers, self._rests, strict=True):
            number = len(layer.costs)
            rows = max(1, _AT_ONCE // number)
            parts = []
            for start in range(0, len(costs), rows):
                sums = (costs[start : start + rows, None] + layer.costs).ravel()
                totals = (errors[start : start + rows, None] + layer.errors).ravel()
                bound = totals + rest.bound(self.budget - sums)
                kept = np.flatnonzero((bound <= known + self._slack) & (bound < np.inf))
                parts.append((sums[kept], totals[kept], bound[kept], start * number + kept))
            costs, errors, bounds, origins = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            ranks = ranks[origins // number] * number + origins % number
            order = np.lexsort((ranks, errors, costs))
            before = np.minimum.accumulate(np.concatenate([[np.inf], errors[order][:-1]]))
            kept = order[errors[order] < before]
            if width is not None and len(kept) > width:
                kept = kept[np.sort(np.argpartition(bounds[kept], width - 1)[:width])]
            costs, errors, origins = costs[kept], errors[kept], origins[kept]
            ranks = np.argsort(np.argsort(ranks[kept]))
            trail.append((origins // number, origins % number))
        # errors descend as costs ascend: the last is the least error at its least cost
        at, picks = len(costs) - 1, []
        error = float(errors[at])
        for parents, options in reversed(trail):
            picks.append(int(options[at]))
            at = int(parents[at])
        return _Found(error, picks[::-1])


def _without_hopeless(layers: Sequence[Options], budget: int, known: float) -> list[Options]:
    """Leave out the options with which even fractions of the others' make no sum of at most ``known``."""
    slack = _slack(layers)
    kept = []
    for i, layer in enumerate(layers):
        others = Relaxation([*layers[:i], *layers[i + 1 :]])
        kept.append(layer.only(layer.errors + others.bound(budget - layer.costs) <= known + slack))
    return kept


def _slack(layers: Sequence[Options]) -> float:
    """What rounding may do to a bound."""
    return 1e-12 * sum(float(layer.errors[0]) for layer in layers)
