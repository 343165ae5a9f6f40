"""SVD-Energy: every layer keeps the same share of its squared singular values."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from pruners.lowrank.layers.candidates import Candidates, layer_candidates
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.methods.common_share import ranks_at_largest_share
from pruners.lowrank.methods.rank_method import (
    EXCLUDE,
    RANK_MULTIPLE,
    AllocationProblem,
    RankMethod,
    excluding,
)


@final
class SVDEnergy(RankMethod):
    """The smallest rank, in one subspace, that holds a given share of a layer's squared singular values.

    With ``rank_multiple`` the smallest multiple that does. The share is the largest that meets the budget; a
    layer that would save nothing at its rank stays dense. Alvarez and Salzmann, NeurIPS 2017, arXiv
    1711.02638; the paper of ALDS calls it SVD-Energy.
    """

    name = "svd_energy"
    title = "SVD-Energy: the same share of the squared singular values in every layer"
    paper = "Alvarez and Salzmann, NeurIPS 2017, arXiv 1711.02638"
    options = (EXCLUDE, RANK_MULTIPLE)

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return every rank of the whole matrix that saves something, and dense."""
        options_of, free = excluding(shape, options["exclude"])
        options_of |= {
            name: layer_candidates(shape.layers[name], (1,), rank_multiple=options["rank_multiple"])
            for name in free
        }
        return {name: options_of[name] for name in shape.layers}

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        """Choose the ranks at the largest share of energy that meets the budget.

        Exact: the ranks change only where one layer's share of energy at some rank is reached.
        """
        excluded = problem.shape.named_by(options["exclude"], "exclude")
        held = {
            n: _energy_shares(problem.spectra.layers[n].singular_values(1))
            for n in problem.candidates
            if n not in excluded
        }
        shares = np.unique(np.concatenate([*held.values(), [1.0]])).tolist()
        step = {name: problem.shape.layers[name].rank_step(options["rank_multiple"], (1,)) for name in held}

        def ranks(share: float) -> dict[str, int]:
            return {
                name: step[name] * (int(np.searchsorted(h, share)) // step[name] + 1)
                for name, h in held.items()
            }

        return ranks_at_largest_share(problem, shares, ranks)


def _energy_shares(values: np.ndarray) -> np.ndarray:
    """Return the share of the squared singular values that rank 1, 2, ... holds.

    It is 1 throughout for a layer of zeros.
    """
    held = np.cumsum(np.square(values).sum(axis=(0, 1)))
    return held / held[-1] if held[-1] else np.ones_like(held)
