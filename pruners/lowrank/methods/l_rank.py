"""L-Rank: the rank step of learning the rank of each layer, once, on the trained weights."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from pruners.allocation.lagrangian import lagrangian
from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.methods.every_cut import Errors, best_options
from pruners.lowrank.methods.rank_method import (
    EXCLUDE,
    FOLDING,
    RANK_MULTIPLE,
    AllocationProblem,
    RankMethod,
    in_one_subspace,
)


@final
class LRank(RankMethod):
    """Minimises, over the ranks r of all layers, sum of lambda * C(r) + mu / 2 * (s_{r+1}^2 + s_{r+2}^2 ...).

    C is what a layer costs at a rank, in one subspace or dense, in whatever the budget counts, s its singular
    values. This is the C step of Idelbayev and Carreira-Perpinan, Low-Rank Compression of Neural Nets:
    Learning the Rank of Each Layer, CVPR 2020, equation (5): for a given lambda / mu the layers are
    independent and each takes the best of all its ranks. Their quotient is the least whose choice is within
    the budget, see `pruners.allocation.lagrangian`; mu alone has no say. The whole of the paper alternates
    this step with training: that is the trainable learning_compression. The baseline "L-Rank" of ALDS's paper
    (Liebenwein et al., NeurIPS 2021) is this step once, on the trained weights, as here; the authors' code
    counts multiply-adds in C whatever the budget counts (here give flops_ratio), folds kernels as ``folding``
    split1 does here, and does not know in C that a layer may stay dense.
    """

    name = "l_rank"
    title = "L-Rank: least squared error at one price for every layer's cost, in closed form"
    paper = "Idelbayev and Carreira-Perpinan, CVPR 2020"
    options = (EXCLUDE, RANK_MULTIPLE, FOLDING)

    def metric(self, options: Mapping[str, Any]) -> str:
        """Return the metric that layer errors are told in: the one whose squares are summed."""
        return "frobenius"

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return every rank of the whole matrix that saves something, and dense."""
        return in_one_subspace(shape, options)

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        """Choose the ranks at the least price of cost that the budget allows."""
        errors = {name: self.errors_of(problem, name, options) for name in problem.candidates}
        return best_options(problem, errors, lagrangian, lambda n, e: _squared(problem, n, e))


def _squared(problem: AllocationProblem, layer: str, relative: Errors) -> Errors:
    """Return squared errors; an excluded layer's are 0, whatever its weights are."""
    return np.square(relative * problem.spectra.layers[layer].norm) if relative.any() else relative
