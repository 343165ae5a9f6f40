"""SVD-Energy: every layer keeps the same share of its squared singular values."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from pruners.lowrank.layers.candidates import Candidates, layer_candidates
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.methods.common_share import ranks_at_largest_energy_share
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

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        """Choose the ranks at the largest share of energy that meets the budget."""
        excluded = problem.shape.named_by(options["exclude"], "exclude")
        energies = {
            n: np.square(problem.spectra.layers[n].singular_values(1)).sum(axis=(0, 1))
            for n in problem.candidates
            if n not in excluded
        }
        step = {n: problem.shape.layers[n].rank_step(options["rank_multiple"], (1,)) for n in energies}
        return ranks_at_largest_energy_share(problem, energies, step)
