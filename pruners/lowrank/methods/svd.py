"""SVD: every layer keeps the same share of its full rank."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, final

from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import ENCODE, Cut
from pruners.lowrank.layers.folding import BEST, folded_shape, foldings_of
from pruners.lowrank.layers.pricing import cost_of
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.layers.steps import saves
from pruners.lowrank.methods.common_share import cuts_at_largest_share
from pruners.lowrank.methods.rank_method import (
    EXCLUDE,
    FOLDING,
    RANK_MULTIPLE,
    AllocationProblem,
    RankMethod,
    in_one_subspace,
)


@final
class SVD(RankMethod):
    """One rank share everywhere: rank = floor(share * full rank), at least 1, in one subspace.

    With ``rank_multiple`` it is rounded down to a multiple, but never to 0. The share is the largest that
    meets the budget; a layer that would save nothing at its rank stays dense. With ``folding`` best the share
    is that of the usual folding, and the layer takes the folding with the least error that costs no more. The
    plain baseline of low-rank compression, e.g. Denton et al., NeurIPS 2014, arXiv 1404.0736.
    """

    name = "svd"
    title = "SVD: the same share of the full rank in every layer"
    paper = "Denton et al., NeurIPS 2014, arXiv 1404.0736"
    options = (EXCLUDE, RANK_MULTIPLE, FOLDING)
    timed = False

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return every rank of the whole matrix that saves something, and dense."""
        return in_one_subspace(shape, options)

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        """Choose the ranks at the largest share of the full ranks that meets the budget.

        Exact: the ranks change at fractions only, and these are compared as fractions.
        """
        excluded = problem.shape.named_by(options["exclude"], "exclude")
        layers = {name: layer for name, layer in problem.shape.layers.items() if name not in excluded}
        folding, multiple = options["folding"], options["rank_multiple"]
        # where several are compared, the usual one's rank says what they may cost
        single = ENCODE if folding == BEST else folding
        form = {name: foldings_of(layer, single)[0] for name, layer in layers.items()}
        folded = {name: folded_shape(layer, form[name]) for name, layer in layers.items()}
        full = {name: shape.max_rank(1) for name, shape in folded.items()}
        shares = sorted(
            {Fraction(rank, most) for most in set(full.values()) for rank in range(1, most + 1)}
            | {Fraction(0), Fraction(1)}
        )
        cheapest = {n: problem.candidates[n].cut(int(problem.candidates[n].params.argmin())) for n in layers}
        step = {name: shape.rank_step(multiple, (1,)) for name, shape in folded.items()}

        def cuts(share: Fraction) -> dict[str, Cut]:
            ranks = {n: step[n] * max(1, int(share * most) // step[n]) for n, most in full.items()}
            found = {name: Cut(rank, 1, form[name]) for name, rank in ranks.items()}
            if folding != BEST:
                return found
            return {
                n: self._best(problem, n, cut, options) if share else cheapest[n] for n, cut in found.items()
            }

        return cuts_at_largest_share(problem, shares, cuts)

    def _best(self, problem: AllocationProblem, layer: str, usual: Cut, options: Mapping[str, Any]) -> Cut:
        """Return the cut of least error that costs no more than the usual folding's, of the first folding."""
        shape, unit = problem.shape.layers[layer], problem.budget.unit
        if not saves(shape, usual):
            return usual
        most = cost_of(problem.shape, layer, usual, unit)
        within = []
        for form in foldings_of(shape, options["folding"]):
            step = folded_shape(shape, form).rank_step(options["rank_multiple"], (1,))
            each = cost_of(problem.shape, layer, Cut(step, 1, form), unit)
            cut = Cut(step * (most // each) if each else 0, 1, form)
            if cut.rank and saves(shape, cut):
                within.append(cut)
        errors = self.errors_of(problem, layer, options)
        return min(within, key=errors.error, default=usual)
