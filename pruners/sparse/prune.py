"""From a network to a mask: allocate, then score and remove, round after round."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pruners.errors import BadArtifact, PrunerError, UnknownOption
from pruners.network.inputs import Inputs
from pruners.network.seeding import seeded
from pruners.sparse.curvature.scoring_inputs import Scores
from pruners.sparse.mask import Mask
from pruners.sparse.methods.score_method import ScoreMethod
from pruners.sparse.scoring import Scorer, given_for
from pruners.sparse.selection.allocation import pools
from pruners.sparse.selection.counts import after_rounds
from pruners.sparse.selection.prunable import PrunableLayer, prunable
from pruners.sparse.selection.shared_options import SHARED, settings_of
from pruners.sparse.selection.survivors import Survivors

Masks = dict[str, Tensor]


def prune(
    model: nn.Module,
    method: ScoreMethod,
    *,
    keep_ratio: float | None,
    budget: int | None,
    data: Iterable[Any] | None,
    loss: Callable[..., Tensor] | None,
    example: Inputs | None,
    seed: int,
    mask: Mask | None,
    options: Mapping[str, Any],
) -> Mask:
    """The mask that a method chooses, see `pruners.compress`."""
    chosen = method.with_defaults(options)
    layers, alive = _start(model, chosen["exclude"], mask)
    settings = settings_of(chosen, layers)
    left = {name: int(alive[layer.parameter].count_nonzero()) for name, layer in layers.items()}
    goals = pools(layers, left, settings, keep_ratio, budget)
    courses = [
        after_rounds(sum(left[n] for n in goal.layers), goal.keep, settings.rounds, settings.schedule)
        for goal in goals
    ]
    competing = [Survivors([layers[n].parameter for n in goal.layers], alive) for goal in goals]
    scorer = Scorer(method, model, layers, alive, given_for(method, data, loss, example, seed), chosen)
    remaining = sum(left.values())
    with seeded(seed, model):
        for counts in zip(*courses, strict=True):
            if sum(counts) == remaining:
                continue
            scores = scorer.scores(alive)
            if settings.invert:
                scores = {name: -score for name, score in scores.items()}
            for pool, count in zip(competing, counts, strict=True):
                pool.keep_highest(scores, count, settings.min_layer_keep)
                alive |= pool.masks
            remaining = sum(counts)
    asked = {"keep_ratio": float(keep_ratio)} if keep_ratio is not None else {"budget": int(budget or 0)}
    chosen |= {"seed": seed} | asked
    if mask is not None:
        chosen["mask"] = {"method": mask.method, "options": mask.options}
    return Mask(method.name, chosen, layers, alive, source=model)


def score(
    model: nn.Module,
    method: ScoreMethod,
    *,
    data: Iterable[Any] | None,
    loss: Callable[..., Tensor] | None,
    example: Inputs | None,
    seed: int,
    mask: Mask | None,
    options: Mapping[str, Any],
) -> Scores:
    """The scores that a method gives once, see `pruners.scores`."""
    chosen = method.with_defaults(options)
    for name in options:
        if name != "exclude" and name in {option.name for option in SHARED}:
            raise UnknownOption(f"Scores are looked at once and nothing is removed: they take no {name}.")
    layers, alive = _start(model, chosen["exclude"], mask)
    with seeded(seed, model):
        return Scorer(
            method, model, layers, alive, given_for(method, data, loss, example, seed), chosen
        ).scores(alive)


def _start(
    model: nn.Module, exclude: Iterable[str], mask: Mask | None
) -> tuple[dict[str, PrunableLayer], Masks]:
    """The layers and which of their weights are still there."""
    layers = prunable(model, exclude)
    if not layers:
        raise PrunerError("The network has no convolution and no Linear whose weights could be removed.")
    if mask is None:
        return layers, {
            layer.parameter: torch.ones(layer.shape, dtype=torch.bool) for layer in layers.values()
        }
    for name in [*layers, *mask.prunable]:
        if layers.get(name) != mask.prunable.get(name):
            raise BadArtifact(
                f"The mask to go on from is of another network or with another exclude: layer {name!r} differs."
            )
    return layers, dict(mask.masks)


def _inverted(scores: Scores) -> Scores:
    return {name: -score for name, score in scores.items()}
