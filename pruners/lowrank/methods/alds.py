"""ALDS: Automatic Layer-wise Decomposition Selector, solved exactly."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from pruners.errors import PrunerError
from pruners.lowrank.layers.candidates import (
    PINS,
    Candidates,
    DensityBounds,
    layer_candidates,
    pinned_candidate,
)
from pruners.lowrank.layers.shapes import LayerShape, NetworkShape
from pruners.lowrank.methods.allocate import allocate
from pruners.lowrank.methods.rank_method import (
    EXCLUDE,
    RANK_MULTIPLE,
    AllocationProblem,
    RankMethod,
    excluding,
)
from pruners.lowrank.spectra.metrics import ERROR_METRICS
from pruners.method import Option
from pruners.option_values import ByLayer, Choice, Fields, ListOf, Number, Share, Whole

_BOUNDS = Fields(
    {"min_density": Share(from_zero=True), "max_density": Share(from_zero=True)}, all_of_them=False
)


@final
class ALDS(RankMethod):
    """Makes the largest layer error as small as the budget allows, over all ranks and numbers of subspaces.

    Liebenwein, Maalouf, Gal, Feldman, Rus: Compressing Neural Networks: Towards Determining the Optimal
    Layer-wise Decomposition, NeurIPS 2021, arXiv 2107.11442, problem (3). The paper alternates between ranks
    and subspaces from random starts; but for a given error every layer's cheapest option is independent of
    the others, so the optimum can be had exactly: see `pruners.lowrank.methods.allocate`. What budget is left
    goes to the layer with the largest error next.
    """

    name = "alds"
    title = "ALDS: smallest possible largest layer error, over ranks and subspaces"
    paper = "Liebenwein et al., NeurIPS 2021, arXiv 2107.11442"
    options = (
        Option(
            "metric", "max", f"error of a layer: {', '.join(ERROR_METRICS)}", Choice(tuple(ERROR_METRICS))
        ),
        Option(
            "candidate_subspaces",
            None,
            "numbers of subspaces to choose from where they divide the input channels; None: all divisors",
            ListOf(Whole(1), "whole numbers of at least 1", filled=True),
        ),
        Option(
            "tolerance",
            {},
            "layer -> factor its error may be larger by; 1 for layers left out",
            ByLayer(Number(above=True), "layer names to factors"),
        ),
        Option("layers", {}, "layer -> {rank, num_subspaces} set outright", PINS),
        EXCLUDE,
        RANK_MULTIPLE,
        Option(
            "bounds",
            {},
            "layer -> {min_density, max_density}: share of its own weights it may keep, dense is 1",
            ByLayer(_BOUNDS, "layer names to min_density and max_density"),
        ),
    )

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return each layer's options: ranks in every number of subspaces, within its bounds.

        Those are all divisors of its input channels, or the ones asked for.
        """
        _check(shape, options)
        options_of, free = excluding(shape, options["exclude"])
        for name in free:
            layer = shape.layers[name]
            if name in options["layers"]:
                options_of[name] = pinned_candidate(name, layer, options["layers"][name])
            else:
                subspaces = _subspaces(layer, options["candidate_subspaces"])
                density = _density(name, options["bounds"].get(name, {}))
                options_of[name] = layer_candidates(layer, subspaces, density, options["rank_multiple"])
            if not len(options_of[name].params):
                raise PrunerError(f"bounds leave layer {name!r} no choice of rank and num_subspaces.")
        return {name: options_of[name] for name in shape.layers}

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        """Solve with lower bounds for unknown errors, until every error in the solution is known.

        Lower bounds only relax the problem, so a solution of known errors alone is the problem's own.
        """
        names = list(problem.candidates)
        searches = [problem.spectra.search(name, self.metric(options)) for name in names]
        tolerance = [float(options["tolerance"].get(name, 1.0)) for name in names]
        unit_costs = [problem.shape.unit_cost(name, problem.budget.unit) for name in names]
        limit = problem.budget.limit - problem.shape.fixed_cost(problem.budget.unit)
        while True:
            frontiers = [s.frontier(problem.candidates[n]) for n, s in zip(names, searches, strict=True)]
            costs = [f.params * cost for f, cost in zip(frontiers, unit_costs, strict=True)]
            errors = [f.errors / t for f, t in zip(frontiers, tolerance, strict=True)]
            picks = allocate(costs, errors, limit)
            chosen = [(int(f.ranks[i]), int(f.subspaces[i])) for f, i in zip(frontiers, picks, strict=True)]
            guessed = [n for n, (f, i) in enumerate(zip(frontiers, picks, strict=True)) if not f.exact[i]]
            if not guessed:
                return dict(zip(names, chosen, strict=True))
            for n in guessed:
                searches[n].resolve(*chosen[n])


def _check(shape: NetworkShape, options: Mapping[str, Any]) -> None:
    for option in ("tolerance", "layers", "bounds"):
        shape.check_names(options[option], option)
    for name in shape.named_by(options["exclude"], "exclude"):
        if name in options["layers"]:
            raise PrunerError(f"Layer {name!r} is both excluded and set in layers.")


def _subspaces(layer: LayerShape, asked: Sequence[int] | None) -> tuple[int, ...]:
    """Return the candidates that divide this layer's channels.

    A layer that none of them divides can only stay dense.
    """
    if asked is None:
        return layer.candidate_subspaces
    return tuple(n for n in layer.candidate_subspaces if n in asked)


def _density(name: str, bounds: Mapping[str, float]) -> DensityBounds:
    density = DensityBounds(bounds.get("min_density", 0.0), bounds.get("max_density", 1.0))
    if density.least > density.most:
        raise PrunerError(f"bounds of layer {name!r} need min_density <= max_density, not {dict(bounds)!r}.")
    return density
