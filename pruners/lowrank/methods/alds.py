"""ALDS: Automatic Layer-wise Decomposition Selector, solved exactly."""

from collections.abc import Mapping
from typing import Any, final

from pruners.allocation.minmax import minmax
from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.methods.every_cut import (
    CANDIDATE_SUBSPACES,
    WHAT_LAYERS_MAY_BECOME,
    best_options,
    every_cut,
)
from pruners.lowrank.methods.rank_method import CLUSTERING, FOLDING, AllocationProblem, RankMethod
from pruners.lowrank.spectra.metrics import ERROR_METRICS
from pruners.method import Option
from pruners.option_values import ByLayer, Choice, Number


@final
class ALDS(RankMethod):
    """Makes the largest layer error as small as the budget allows, over all ranks and numbers of subspaces.

    Liebenwein, Maalouf, Gal, Feldman, Rus: Compressing Neural Networks: Towards Determining the Optimal
    Layer-wise Decomposition, NeurIPS 2021, arXiv 2107.11442, problem (3). The paper alternates between ranks
    and subspaces from random starts; but for a given error every layer's cheapest option is independent of
    the others, so the optimum can be had exactly: see `pruners.allocation.minmax`. What budget is left
    goes to the layer with the largest error next. ``folding`` asks for the other matrices that a kernel can
    be folded to, as the paper's supplement and its authors' code have them, and ``clustering`` for slices
    that are clusters of channels, which its ablation compares with; a layer set in ``layers`` has neither.
    """

    name = "alds"
    title = "ALDS: smallest possible largest layer error, over ranks and subspaces"
    paper = "Liebenwein et al., NeurIPS 2021, arXiv 2107.11442"
    options = (
        Option(
            "metric", "max", f"error of a layer: {', '.join(ERROR_METRICS)}", Choice(tuple(ERROR_METRICS))
        ),
        CANDIDATE_SUBSPACES,
        Option(
            "tolerance",
            {},
            "layer -> factor its error may be larger by; 1 for layers left out",
            ByLayer(Number(above=True), "layer names to factors"),
        ),
        *WHAT_LAYERS_MAY_BECOME,
        FOLDING,
        CLUSTERING,
    )

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return each layer's options: ranks in every number of subspaces, within its bounds."""
        shape.check_names(options["tolerance"], "tolerance")
        return every_cut(shape, options)

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        """Choose so that the largest error, each divided by its layer's tolerance, is as small as can be."""
        searches = {name: self.errors_of(problem, name, options) for name in problem.candidates}
        tolerance = options["tolerance"]
        return best_options(problem, searches, minmax, lambda name, errors: errors / tolerance.get(name, 1.0))
