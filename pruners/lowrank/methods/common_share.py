"""The largest share, common to all layers, whose cuts are within the budget."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pruners.errors import PrunerError
from pruners.lowrank.layers import pricing
from pruners.lowrank.layers.budget import NANOSECONDS
from pruners.lowrank.layers.cut import DENSE, Cut
from pruners.lowrank.layers.folding import folded_shape
from pruners.lowrank.layers.steps import saves
from pruners.lowrank.methods.rank_method import AllocationProblem

AnyShare = TypeVar("AnyShare")

Energies = Mapping[str, NDArray[np.float64]]
"""What rank 1, 2, ... of a layer adds to its energy, by folding."""


def cuts_at_largest_share(
    problem: AllocationProblem, shares: Sequence[AnyShare], cuts: Callable[[AnyShare], dict[str, Cut]]
) -> dict[str, Cut]:
    """Find the largest share within the budget, and return what every layer becomes.

    A layer is dense where its cut saves no weights, or nothing of what the budget counts, and where there is
    none. ``shares`` ascend and the cost of a layer's cut with them, so the whole cost does, and the last
    share within the budget is found by bisection. Raises PrunerError for a budget in time, which may not grow
    with a rank.
    """
    unit, layers = problem.budget.unit, problem.shape.layers
    if unit == NANOSECONDS:
        raise PrunerError(
            "A budget in time (latency_ms) needs a method that chooses for each layer by itself, such as "
            "alds or calibrated: at a common share a larger rank may take less."
        )

    def choices(share: AnyShare) -> dict[str, Cut]:
        at = cuts(share)
        saving = {n for n, cut in at.items() if saves(layers[n], cut) and cost_of(n, cut) < cost_of(n, DENSE)}
        return {n: at[n] if n in saving else DENSE for n in problem.candidates}

    def cost_of(layer: str, cut: Cut) -> int:
        return pricing.cost_of(problem.shape, layer, cut, unit)

    def cost(share: AnyShare) -> int:
        return problem.cost(choices(share))

    return choices(shares[max(0, bisect_right(shares, problem.budget.limit, key=cost) - 1)])


def ranks_at_largest_energy_share(
    problem: AllocationProblem, energies: Mapping[str, Energies], rank_multiple: int
) -> dict[str, Cut]:
    """Find the largest share of energy within the budget that the ranks of all ``energies`` hold alike.

    ``energies`` tells what rank 1, 2, ... adds in each of a layer's foldings; its rank is the smallest
    multiple that holds the share, in the folding where that is cheapest. Exact: ranks change only where one
    layer's share at some rank is reached.
    """
    layers, unit = problem.shape.layers, problem.budget.unit
    held = {
        name: {form: energy_shares(of_form) for form, of_form in of_layer.items()}
        for name, of_layer in energies.items()
    }
    every = [of_form for of_layer in held.values() for of_form in of_layer.values()]
    shares = np.unique(np.concatenate([*every, [1.0]])).tolist()
    step = {
        (name, form): folded_shape(layers[name], form).rank_step(rank_multiple, (1,))
        for name, of_layer in held.items()
        for form in of_layer
    }

    def cuts(share: float) -> dict[str, Cut]:
        found = {}
        for name, of_layer in held.items():
            at = {form: int(np.searchsorted(shares, share)) for form, shares in of_layer.items()}
            steps = {form: step[name, form] for form in at}
            cuts = [Cut(steps[form] * (rank // steps[form] + 1), 1, form) for form, rank in at.items()]
            saving = [cut for cut in cuts if saves(layers[name], cut)]
            if saving:
                found[name] = min(saving, key=lambda cut: pricing.cost_of(problem.shape, name, cut, unit))
        return found

    return cuts_at_largest_share(problem, shares, cuts)


def energy_shares(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the energy that rank 1, 2, ... holds; 1 throughout where there is none."""
    held = np.cumsum(energies)
    return held / held[-1] if held[-1] else np.ones_like(held)
