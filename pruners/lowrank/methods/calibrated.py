"""Calibrated: the least error within the budget, as a few unlabelled images tell it."""

from collections.abc import Mapping
from typing import Any, final

from pruners.allocation.knapsack import knapsack
from pruners.allocation.minmax import minmax
from pruners.lowrank.curves.kept import curves_of
from pruners.lowrank.layers.candidates import Candidates
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

_BY_DATA = ("output", "measured")


@final
class Calibrated(RankMethod):
    """Chooses every layer's rank and num_subspaces by errors that calibration images tell, within a budget.

    Each layer has a curve, its error over its options; dominated options are dropped. ``error`` says which:
    ``output``, the relative error of the layer's outputs once its decoder is fitted to them (channel pruning
    and OBC, Frantar et al., NeurIPS 2022, arXiv 2208.11580, fit weights so; BALF, arXiv 2509.25136,
    allocates by it); ``measured``, what the layer alone, compressed, adds to KL(dense || compressed) of the
    network's outputs (SPDY and RD-prune, Xu et al., ICCV 2023, arXiv 2308.10438); or one of ALDS's errors of
    the weight (Liebenwein et al., NeurIPS 2021, arXiv 2107.11442, whose options and subspaces these are).

    ``allocate`` says what is made as small as possible: ``sum``, the sum over layers of (scale * error) **
    power, an exact multiple-choice knapsack, or ``minmax``, the largest scale * error, then the next largest,
    as ALDS does. ``scale`` multiplies a layer's curve: a search over these coefficients that solves the
    knapsack for each is the second half of SPDY (Frantar and Alistarh, ICML 2022, arXiv 2201.13096).
    """

    name = "calibrated"
    title = "Calibrated: least summed error of the layers' outputs on unlabelled images"
    paper = (
        "SPDY, Frantar and Alistarh, ICML 2022, arXiv 2201.13096; RD-prune, Xu et al., ICCV 2023, arXiv "
        "2308.10438; BALF, arXiv 2509.25136; OBC, Frantar et al., NeurIPS 2022, arXiv 2208.11580; ALDS, "
        "Liebenwein et al., NeurIPS 2021, arXiv 2107.11442"
    )
    needs = ("data",)
    options = (
        Option(
            "error",
            "output",
            "error of a layer: output (of its outputs, refitted), measured (of the network's outputs), or of "
            f"its weight: {', '.join(ERROR_METRICS)}",
            Choice((*_BY_DATA, *ERROR_METRICS)),
        ),
        Option(
            "allocate",
            "sum",
            "what is made as small as possible: sum (of the errors' powers) or minmax (the largest error)",
            Choice(("sum", "minmax")),
        ),
        Option(
            "power",
            None,
            "of the errors that are summed; None: 2, and 1 for measured. The larger, the nearer to minmax",
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
        """Return what is known about a layer's errors; what is dear is kept with the calibration."""
        if options["error"] not in _BY_DATA:
            return super().errors_of(problem, layer, options)
        assert problem.calibration is not None  # `needs` asks for it
        curves = curves_of(problem.calibration)
        if options["error"] == "measured":
            return curves.measured_errors(problem.calibration, problem.spectra, layer)
        return curves.output_errors(
            problem.calibration, problem.spectra, layer, options["encoders"], options["ridge"]
        )

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return each layer's options: ranks in every number of subspaces, within its bounds."""
        shape.check_names(options["scale"], "scale")
        return every_cut(shape, options)

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        """Choose so that the sum of the scaled errors' powers, or the largest, is as small as can be."""
        free = [name for name, one in problem.candidates.items() if len(one.params) > 1]
        if problem.calibration is not None and options["error"] in _BY_DATA:
            for name in free:  # before the images run into a weight that is not finite
                problem.spectra.layers[name].check()
        if problem.calibration is not None and options["error"] == "output":
            problem.calibration.moments(free)  # of all layers in one pass
        errors = {
            # one option is no choice, and its error matters to nothing
            name: self.errors_of(problem, name, options)
            if name in free
            else problem.spectra.search(name, "max")
            for name in problem.candidates
        }
        power = options["power"] or (1.0 if options["error"] == "measured" else 2.0)

        def weighed(layer: str, errors: Errors) -> Errors:
            return (options["scale"].get(layer, 1.0) * errors) ** power

        return best_options(problem, errors, minmax if options["allocate"] == "minmax" else knapsack, weighed)
