"""The largest share, common to all layers, whose ranks are within the budget."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TypeVar

from pruners.errors import PrunerError
from pruners.lowrank.layers.budget import NANOSECONDS
from pruners.lowrank.layers.candidates import DENSE
from pruners.lowrank.methods.rank_method import AllocationProblem

AnyShare = TypeVar("AnyShare")


def ranks_at_largest_share(
    problem: AllocationProblem, shares: Sequence[AnyShare], ranks: Callable[[AnyShare], dict[str, int]]
) -> dict[str, tuple[int, int]]:
    """Find the largest share within the budget, and return every layer's rank and num_subspaces.

    A layer is dense where the rank saves nothing of what the budget counts. ``shares`` ascend and ranks grow
    with them, so the cost does, and the last share within the budget is found by bisection. Raises
    PrunerError for a budget in time, which may not grow with a rank.
    """
    unit, layers = problem.budget.unit, problem.shape.layers
    if unit == NANOSECONDS:
        raise PrunerError(
            "A budget in time (latency_ms) needs a method that chooses for each layer by itself, such as "
            "alds or calibrated: at a common share a larger rank may take less."
        )

    def choices(share: AnyShare) -> dict[str, tuple[int, int]]:
        at = {n: rank for n, rank in ranks(share).items() if problem.shape.unit_cost(n, unit)}
        return {
            n: (at[n], 1) if n in at and at[n] <= layers[n].largest_saving_rank(1) else DENSE
            for n in problem.candidates
        }

    def cost(share: AnyShare) -> int:
        chosen = choices(share)
        weights = {
            n: s.decomposed_params(*chosen[n]) if chosen[n] != DENSE else s.params for n, s in layers.items()
        }
        return problem.shape.fixed_cost(unit) + sum(
            w * problem.shape.unit_cost(n, unit) for n, w in weights.items()
        )

    return choices(shares[max(0, bisect_right(shares, problem.budget.limit, key=cost) - 1)])
