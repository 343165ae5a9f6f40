"""SVD-Energy: every layer keeps the same share of its squared singular values."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.folding import foldings_of
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.methods.common_share import ranks_at_largest_energy_share
from pruners.lowrank.methods.rank_method import (
    EXCLUDE,
    FOLDING,
    RANK_MULTIPLE,
    AllocationProblem,
    RankMethod,
    in_one_subspace,
)


@final
class SVDEnergy(RankMethod):
    """The smallest rank, in one subspace, that holds a given share of a layer's squared singular values.

    With ``rank_multiple`` the smallest multiple that does. The share is the largest that meets the budget; a
    layer that would save nothing at its rank stays dense. With ``folding`` best each kernel is folded so that
    the rank that holds the share is cheapest. Alvarez and Salzmann, NeurIPS 2017, arXiv
    1711.02638; the paper of ALDS calls it SVD-Energy.
    """

    name = "svd_energy"
    title = "SVD-Energy: the same share of the squared singular values in every layer"
    paper = "Alvarez and Salzmann, NeurIPS 2017, arXiv 1711.02638"
    options = (EXCLUDE, RANK_MULTIPLE, FOLDING)
    timed = False

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return every rank of the whole matrix that saves something, and dense."""
        return in_one_subspace(shape, options)

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        """Choose the ranks at the largest share of energy that meets the budget."""
        excluded = problem.shape.named_by(options["exclude"], "exclude")
        energies = {
            name: {
                form: np.square(problem.spectra.layers[name].folded(form).singular_values(1)).sum(axis=(0, 1))
                for form in foldings_of(layer, options["folding"])
            }
            for name, layer in problem.shape.layers.items()
            if name not in excluded
        }
        return ranks_at_largest_energy_share(problem, energies, options["rank_multiple"])
