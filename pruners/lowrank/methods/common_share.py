"""The largest share, common to all layers, whose ranks are within the budget."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

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


def ranks_at_largest_energy_share(
    problem: AllocationProblem, energies: Mapping[str, NDArray[np.float64]], step: Mapping[str, int]
) -> dict[str, tuple[int, int]]:
    """Find the largest share of energy within the budget that the ranks of all ``energies`` hold alike.

    ``energies`` tells what rank 1, 2, ... of each layer adds; its rank is the smallest multiple of ``step``
    that holds the share. Exact: ranks change only where one layer's share at some rank is reached.
    """
    held = {name: _shares(of_layer) for name, of_layer in energies.items()}
    shares = np.unique(np.concatenate([*held.values(), [1.0]])).tolist()

    def ranks(share: float) -> dict[str, int]:
        return {n: step[n] * (int(np.searchsorted(h, share)) // step[n] + 1) for n, h in held.items()}

    return ranks_at_largest_share(problem, shares, ranks)


def _shares(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the energy that rank 1, 2, ... holds; 1 throughout where there is none."""
    held = np.cumsum(energies)
    return held / held[-1] if held[-1] else np.ones_like(held)
