"""What methods share that choose a rank and a number of subspaces for each layer: options, and the search."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruners.errors import PrunerError
from pruners.lowrank.layers.candidates import (
    PINS,
    Candidates,
    DensityBounds,
    clustered_candidates,
    folded_candidates,
    pinned_candidate,
)
from pruners.lowrank.layers.cut import ENCODE, Cut
from pruners.lowrank.layers.shapes import LayerShape, NetworkShape
from pruners.lowrank.methods.rank_method import (
    CONSECUTIVE,
    EXCLUDE,
    RANK_MULTIPLE,
    AllocationProblem,
    LayerErrors,
    excluding,
)
from pruners.method import Option
from pruners.option_values import ByLayer, Fields, ListOf, Share, Whole

Errors = NDArray[np.float64]

_BOUNDS = Fields(
    {"min_density": Share(from_zero=True), "max_density": Share(from_zero=True)}, all_of_them=False
)

CANDIDATE_SUBSPACES = Option(
    "candidate_subspaces",
    None,
    "numbers of subspaces to choose from where they divide the input channels; None: all divisors",
    ListOf(Whole(1), "whole numbers of at least 1", filled=True),
)

WHAT_LAYERS_MAY_BECOME = (
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


def every_cut(shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
    """Return each layer's options: ranks in every number of subspaces, within its bounds.

    Those are all divisors of its input channels, or the ones asked for. Checks the options.
    """
    folding, clustering = options.get("folding", ENCODE), options.get("clustering", CONSECUTIVE)
    if clustering != CONSECUTIVE and folding != ENCODE:
        raise PrunerError(
            f"clustering {clustering!r} is of the columns that folding 'encode' has; leave out folding "
            f"{folding!r}."
        )
    for option in ("layers", "bounds"):
        shape.check_names(options[option], option)
    options_of, free = excluding(shape, options["exclude"])
    for name in options_of:
        if name in options["layers"]:
            raise PrunerError(f"Layer {name!r} is both excluded and set in layers.")
    for name in free:
        layer = shape.layers[name]
        if name in options["layers"]:
            options_of[name] = pinned_candidate(name, layer, options["layers"][name])
        else:
            subspaces = _subspaces(layer, options["candidate_subspaces"])
            density = _density(name, options["bounds"].get(name, {}))
            within = subspaces, density, options["rank_multiple"]
            options_of[name] = (
                folded_candidates(layer, folding, *within)
                if clustering == CONSECUTIVE
                else clustered_candidates(layer, clustering, *within)
            )
        if not len(options_of[name].params):
            raise PrunerError(f"bounds leave layer {name!r} no choice of rank and num_subspaces.")
    return {name: options_of[name] for name in shape.layers}


def best_options(
    problem: AllocationProblem,
    layers: Mapping[str, LayerErrors],
    allocate: Callable[[Sequence[NDArray[np.int64]], Sequence[Errors], int], list[int]],
    weighed: Callable[[str, Errors], Errors],
) -> dict[str, Cut]:
    """Return what each layer becomes where ``allocate`` finds that best.

    It is given costs and ``weighed`` errors, lower bounds where these are unknown, until every error in its
    solution is known. Lower bounds only relax the problem, so a solution of known errors alone is the
    problem's own, provided that ``allocate`` minimises something that grows with every error.
    """
    names = list(problem.candidates)
    limit = problem.budget.limit - problem.shape.fixed_cost(problem.budget.unit)
    while True:
        frontiers = [layers[name].frontier(problem.candidates[name]) for name in names]
        costs = [frontier.params for frontier in frontiers]
        errors = [weighed(name, f.errors) for name, f in zip(names, frontiers, strict=True)]
        picks = allocate(costs, errors, limit)
        chosen = [f.cut(i) for f, i in zip(frontiers, picks, strict=True)]
        guessed = [n for n, (f, i) in enumerate(zip(frontiers, picks, strict=True)) if not f.exact[i]]
        if not guessed:
            return dict(zip(names, chosen, strict=True))
        for n in guessed:
            layers[names[n]].resolve(chosen[n])


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
