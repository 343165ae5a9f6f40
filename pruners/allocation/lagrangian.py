"""A budget spent over layers at one price of cost, the same for all of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pruners.allocation.options import lower_hull, worthwhile_options
from pruners.errors import InfeasibleBudget


def lagrangian(costs: Sequence[ArrayLike], errors: Sequence[ArrayLike], budget: int) -> list[int]:
    """Choose one option of each layer that minimises error + price * cost, at the least price within budget.

    ``costs`` and ``errors`` are as `knapsack` takes them. For a given price the layers are independent and
    each takes a point of the lower convex hull of its (cost, error), of equally good ones the cheapest. What
    a layer takes changes at the hull's slopes only, so sorting these finds the least price whose choices are
    within ``budget`` exactly, where a bisection over the price would only come near it. Returns each layer's
    index into its arrays: the smallest sum of errors among all choices that cost no more than this one does
    (Everett, Operations Research 11, 1963), though not always among those within the budget.

    Raises InfeasibleBudget (with ``least``) where nothing is within the budget, and PrunerError for arrays
    that are not as described.
    """
    layers = [worthwhile_options(i, c, e) for i, (c, e) in enumerate(zip(costs, errors, strict=True))]
    hulls = [layer.only(lower_hull(layer)) for layer in layers]
    least = sum(int(hull.costs[0]) for hull in hulls)
    if least > budget:
        raise InfeasibleBudget(f"The cheapest options together cost {least}, more than {budget}.", least)
    owners = np.repeat(np.arange(len(hulls)), [len(hull.costs) - 1 for hull in hulls])
    steps = np.concatenate([np.zeros(0, np.int64), *(np.diff(hull.costs) for hull in hulls)])
    gains = np.concatenate([np.zeros(0), *(-np.diff(hull.errors) for hull in hulls)])
    prices = gains / steps
    order = np.argsort(-prices, kind="stable")
    spent = least + np.cumsum(steps[order])
    fits = int(np.searchsorted(spent, budget, side="right"))
    if fits < len(order):  # at this price a layer is indifferent to its step, and goes without
        fits = int(np.searchsorted(-prices[order], -prices[order][fits], side="left"))
    taken = np.bincount(owners[order[:fits]], minlength=len(hulls))
    return [int(hull.indices[point]) for hull, point in zip(hulls, taken, strict=True)]
