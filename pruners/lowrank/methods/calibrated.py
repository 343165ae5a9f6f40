"""Calibrated: the least error within the budget, as a few unlabelled images tell it."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pruners.allocation.knapsack import knapsack
from pruners.allocation.minmax import minmax
from pruners.lowrank.curves.kept import ERRORS_BY_DATA, ErrorKind, errors_by_data
from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.methods.every_cut import (
    CANDIDATE_SUBSPACES,
    WHAT_LAYERS_MAY_BECOME,
    Errors,
    best_options,
    every_cut,
)
from pruners.lowrank.methods.rank_method import AllocationProblem, LayerErrors, RankMethod
from pruners.lowrank.spectra.metrics import ERROR_METRICS
from pruners.method import Option
from pruners.option_values import ByLayer, Choice, Number

Costs = NDArray[np.int64]


@final
class Calibrated(RankMethod):
    """Chooses every layer's rank and num_subspaces by errors that calibration images tell, within a budget.

    Each layer has a curve, its error over its options; dominated options are dropped. ``error`` says which.
    ``output``: the relative error of the layer's outputs once its decoder is fitted to them, as OBC does for
    single weights (Frantar et al., NeurIPS 2022, arXiv 2208.11580); BALF (arXiv 2509.25136) allocates by it.
    ``predicted``: the divergence of the network's outputs that this error predicts, by the curvature at the
    layer's outputs; needs a network that gives class scores. ``measured``: KL(dense || compressed) of the
    network's outputs with this layer alone compressed, at ten sizes, as SPDY and RD-prune (Xu et al., ICCV
    2023, arXiv 2308.10438) do. Or one of ALDS's errors of the weight (Liebenwein et al., NeurIPS 2021, arXiv
    2107.11442), whose ranks and subspaces these are.

    ``allocate`` says what is made as small as possible: ``sum``, that of (scale * error) ** power over the
    layers, an exact multiple-choice knapsack, or ``minmax``, the largest scale * error, then the next
    largest, as ALDS does. Errors of single layers do not add up, and what is lost in one layer is worse where
    the others have lost much too: hence powers above 1. ``scale`` multiplies a layer's curve; a search over
    these factors that solves the knapsack for each is the second half of SPDY (Frantar and Alistarh, ICML
    2022, arXiv 2201.13096).
    """

    name = "calibrated"
    title = "Calibrated: least sum of errors that unlabelled images tell, over ranks and subspaces"
    paper = (
        "SPDY, Frantar and Alistarh, ICML 2022, arXiv 2201.13096; RD-prune, Xu et al., ICCV 2023, arXiv "
        "2308.10438; BALF, arXiv 2509.25136; OBC, Frantar et al., NeurIPS 2022, arXiv 2208.11580; ALDS, "
        "Liebenwein et al., NeurIPS 2021, arXiv 2107.11442"
    )
    needs = ("data",)
    options = (
        Option(
            "error",
            "predicted",
            "error of a layer: output (of its outputs, refitted), predicted (of the network's outputs, by "
            "that), measured (of these, the layer alone compressed), or of its weight: "
            f"{', '.join(ERROR_METRICS)}",
            Choice((*ERRORS_BY_DATA, *ERROR_METRICS)),
        ),
        Option(
            "allocate",
            "sum",
            "what is made as small as possible: sum (of the errors' powers) or minmax (the largest error)",
            Choice(("sum", "minmax")),
        ),
        Option(
            "power",
            2.0,
            "of the errors that are summed; the larger, the nearer to minmax",
            Number(above=True),
        ),
        Option(
            "scale",
            {},
            "layer -> factor that multiplies its errors; 1 for layers left out",
            ByLayer(Number(above=True), "layer names to factors"),
        ),
        CANDIDATE_SUBSPACES,
        *WHAT_LAYERS_MAY_BECOME,
    )

    def wants_data(self, given: Mapping[str, Any]) -> bool:
        """Tell whether calibration images would be used: always, the method needs them."""
        return True

    def metric(self, options: Mapping[str, Any]) -> str:
        """Return the error that the layer errors of the result are told in."""
        return str(options["error"])

    def errors_of(self, problem: AllocationProblem, layer: str, options: Mapping[str, Any]) -> LayerErrors:
        """Return what is known about a layer's errors; what is dear is kept with the calibration.

        It is computed for all layers at once that have a choice, or all that are set outright.
        """
        choice = {n: len(one.params) > 1 for n, one in problem.candidates.items() if one.subspaces.any()}
        alike = [name for name, several in choice.items() if several == choice.get(layer)]
        return self._errors(problem, alike or [layer], options)[layer]

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return each layer's options: ranks in every number of subspaces, within its bounds."""
        shape.check_names(options["scale"], "scale")
        return every_cut(shape, options)

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        """Choose so that the sum of the scaled errors' powers, or the largest, is as small as can be."""
        free = [name for name, one in problem.candidates.items() if len(one.params) > 1]
        # where there is one option there is no choice, and its error matters to nothing
        fixed = {n: problem.spectra.search(n, "max") for n in problem.candidates if n not in free}
        errors = {**fixed, **self._errors(problem, free, options)}

        scale = {name: options["scale"].get(name, 1.0) for name in errors}
        largest = _power_of_two(scale.values())

        def weighed(layer: str, errors: Errors) -> Errors:
            return scale[layer] / largest * errors

        def least_sum(costs: Sequence[Costs], errors: Sequence[Errors], budget: int) -> list[int]:
            within_reach = minmax(costs, errors, budget)
            most = _power_of_two(float(e[pick]) for e, pick in zip(errors, within_reach, strict=True))
            with np.errstate(over="ignore"):  # what is infinite then is no part of the least sum
                powers = [(of_layer / most) ** options["power"] for of_layer in errors]
            return knapsack(costs, powers, budget)

        return best_options(
            problem, errors, minmax if options["allocate"] == "minmax" else least_sum, weighed
        )

    def _errors(
        self, problem: AllocationProblem, layers: Collection[str], options: Mapping[str, Any]
    ) -> dict[str, LayerErrors]:
        if options["error"] not in ERRORS_BY_DATA:
            return {name: problem.spectra.search(name, options["error"]) for name in layers}
        assert problem.calibration is not None  # `needs` asks for it
        # joint encoders begin as the weight's own, whose ranks are nested: one factorisation tells all errors
        encoders = "whitened" if options["encoders"] == "whitened" else "weight"
        kind = ErrorKind(options["error"], encoders, options["ridge"], problem.seed)
        return {**errors_by_data(problem.calibration, problem.spectra, layers, kind)}


def _power_of_two(numbers: Iterable[float]) -> float:
    """Return one near the largest number: divided by it, exactly, powers of that are neither huge nor 0."""
    return math.ldexp(1.0, min(math.frexp(max(numbers))[1], 1023))
