"""A budget spent over layers so that the sum of their errors is as small as possible, exactly."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pruners.allocation.options import Options, worthwhile_options
from pruners.allocation.relaxation import Relaxation
from pruners.errors import InfeasibleBudget

_BEAMS = (10, 300)  # sums that the narrow searches keep, each among the options that the last one left
_AT_ONCE = 2**20  # new sums that are looked at together
_MOST = 2**21  # sums of a search for the very best; there are more only where nearly all are equally good
_ROUNDING = 1e-12  # of the largest sum: what bounds may be off by
_NEGLIGIBLE = (1e-9, 1e-8, 1e-7, 1e-6)  # of the sum: improvements not looked for where those are too many


def knapsack(costs: Sequence[ArrayLike], errors: Sequence[ArrayLike], budget: int) -> list[int]:
    """Choose one option of each layer so that the errors' sum is smallest within ``budget``.

    This is the multiple-choice knapsack problem. ``costs`` (whole numbers of at least 0, in any unit) and
    ``errors`` (of at least 0; an infinite one is never chosen) have an array of equal length for every
    layer, in any order. Returns each layer's index into its arrays. Of choices with the same sum it is the
    cheapest, and of equally cheap ones that with the cheaper option in the first layer where they differ.

    Exact: options that cost no less than another with no larger error go, and so do those that cannot be part
    of anything better than what two narrow searches found, by the bound of the linear relaxation. Then all
    sums of the first layers, the first two and so on are listed as pairs (cost, error), without those that
    another one dominates and those that the bound tells cannot become better (Nemhauser and Ullmann 1969;
    Kellerer, Pferschy and Pisinger: Knapsack Problems, 2004, chapter 11). Only where so many choices are
    nearly equal that these lists outgrow all bounds (errors that are one linear function of cost, say) is a
    choice returned that may be 1e-6 of the sum above the least.

    Raises InfeasibleBudget (with ``least``) where nothing is within the budget, and PrunerError for arrays
    that are not as described.
    """
    layers = [worthwhile_options(i, c, e) for i, (c, e) in enumerate(zip(costs, errors, strict=True))]
    least = sum(int(layer.costs[0]) for layer in layers)
    if least > budget:
        raise InfeasibleBudget(f"The cheapest options together cost {least}, more than {budget}.", least)
    slack = _ROUNDING * sum(float(layer.errors[0]) for layer in layers)
    known, picks = np.inf, list[int]()
    for width in _BEAMS:
        error, found = _best(layers, budget, known + slack, width) or (np.inf, picks)
        known, picks = (error, found) if error < known else (known, picks)
        layers = _without_hopeless(layers, budget, known + slack)
    for worth_having in (known + slack, *(known * (1 - share) for share in _NEGLIGIBLE)):
        try:
            best = _best(layers, budget, worth_having, None)
        except _TooManyError:
            continue
        return best[1] if best else picks
    return picks


class _TooManyError(Exception):
    """There are more sums than can be listed."""


def _best(
    layers: Sequence[Options], budget: int, most: float, width: int | None
) -> tuple[float, list[int]] | None:
    """Find the best choice, its error and every layer's index; None where none has an error of ``most``.

    Of each number of layers all sums that may be completed to that are, or the ``width`` with the least
    bounds. Raises _TooManyError where "all" are too many.
    """
    relaxation = Relaxation(layers)
    costs, errors, ranks = np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.int64)
    trail = []
    for i, layer in enumerate(layers):
        number = len(layer.costs)
        rest = relaxation.bound(np.arange(len(layers)) > i)
        parts, listed, rows = [], 0, max(1, _AT_ONCE // number)
        for start in range(0, len(costs), rows):
            cost = (costs[start : start + rows, None] + layer.costs).ravel()
            error = (errors[start : start + rows, None] + layer.errors).ravel()
            bound = error + rest.at(budget - cost)
            kept = np.flatnonzero((bound <= most) & (bound < np.inf))
            parts.append((cost[kept], error[kept], bound[kept], start * number + kept))
            listed += len(kept)
            if width is None and listed > _MOST:
                raise _TooManyError
        costs, errors, bounds, origins = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        ranks = ranks[origins // number] * number + origins % number
        kept = _undominated(costs, errors, ranks)
        if width is not None and len(kept) > width:
            kept = kept[np.sort(np.argpartition(bounds[kept], width - 1)[:width])]
        if not len(kept):
            return None
        costs, errors, origins = costs[kept], errors[kept], origins[kept]
        ranks = np.argsort(np.argsort(ranks[kept]))
        trail.append((origins // number, origins % number))
    # errors descend as costs ascend: the last is the least error at its least cost
    at, picks = len(costs) - 1, []
    for layer, (parents, options) in zip(reversed(layers), reversed(trail), strict=True):
        picks.append(int(layer.indices[options[at]]))
        at = int(parents[at])
    return float(errors[-1]), picks[::-1]


def _undominated(
    costs: NDArray[np.int64], errors: NDArray[np.float64], ranks: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Return the sums that are better than all cheaper ones, the cheapest first.

    Of equal ones it is that of the lowest rank, the first in the order of their layers' options.
    """
    order = np.lexsort((ranks, errors, costs))
    cheaper = np.minimum.accumulate(np.concatenate([[np.inf], errors[order]]))[:-1]
    return order[errors[order] < cheaper]


def _without_hopeless(layers: Sequence[Options], budget: int, most: float) -> list[Options]:
    """Leave out the options that not even fractions of the others complete to an error of ``most``."""
    relaxation = Relaxation(layers)
    kept = []
    for i, layer in enumerate(layers):
        others = relaxation.bound(np.arange(len(layers)) != i)
        kept.append(layer.only(layer.errors + others.at(budget - layer.costs) <= most))
    return kept
