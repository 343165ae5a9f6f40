"""SVD: every layer keeps the same share of its full rank."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, final

from pruners.lowrank.layers.candidates import Candidates, layer_candidates
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.methods.common_share import cuts_at_largest_share
from pruners.lowrank.methods.rank_method import (
    EXCLUDE,
    RANK_MULTIPLE,
    AllocationProblem,
    RankMethod,
    excluding,
)


@final
class SVD(RankMethod):
    """One rank share everywhere: rank = floor(share * full rank), at least 1, in one subspace.

    With ``rank_multiple`` it is rounded down to a multiple, but never to 0. The share is the largest that
    meets the budget; a layer that would save nothing at its rank stays dense. The plain baseline of low-rank
    compression, e.g. Denton et al., NeurIPS 2014, arXiv 1404.0736.
    """

    name = "svd"
    title = "SVD: the same share of the full rank in every layer"
    paper = "Denton et al., NeurIPS 2014, arXiv 1404.0736"
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
        """Choose the ranks at the largest share of the full ranks that meets the budget.

        Exact: the ranks change at fractions only, and these are compared as fractions.
        """
        excluded = problem.shape.named_by(options["exclude"], "exclude")
        full = {
            name: problem.shape.layers[name].max_rank(1)
            for name in problem.candidates
            if name not in excluded
        }
        shares = sorted(
            {Fraction(rank, most) for most in set(full.values()) for rank in range(1, most + 1)}
            | {Fraction(1)}
        )
        step = {name: problem.shape.layers[name].rank_step(options["rank_multiple"], (1,)) for name in full}

        def cuts(share: Fraction) -> dict[str, Cut]:
            return {
                name: Cut(step[name] * max(1, int(share * most) // step[name]), 1)
                for name, most in full.items()
            }

        return cuts_at_largest_share(problem, shares, cuts)
