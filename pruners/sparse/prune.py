"""From a network to a mask: allocate, then score and remove, round after round."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pruners.errors import BadArtifact, UnknownOption
from pruners.network.inputs import Inputs
from pruners.network.seeding import seeded
from pruners.sparse.curvature.scoring_inputs import Scores
from pruners.sparse.mask import Mask
from pruners.sparse.methods.score_method import ScoreMethod
from pruners.sparse.scorer import Scorer, scoring_inputs_for
from pruners.sparse.selection.allocation import allocated_pools
from pruners.sparse.selection.counts import after_rounds
from pruners.sparse.selection.lamp import lamp_scores
from pruners.sparse.selection.prunable import PrunableLayer, layers_to_prune
from pruners.sparse.selection.shared_options import SHARED, selection_options
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
    """Choose a mask by a method, see `pruners.compress`."""
    chosen = method.with_defaults(options)
    layers, alive = _start(model, chosen["exclude"], mask)
    selection = selection_options(chosen, layers)
    left = {name: int(alive[layer.parameter].count_nonzero()) for name, layer in layers.items()}
    pools = allocated_pools(layers, left, selection, keep_ratio, budget)
    counts_by_pool = [
        after_rounds(sum(left[n] for n in pool.layers), pool.keep, selection.rounds, selection.schedule)
        for pool in pools
    ]
    survivors = [Survivors([layers[n].parameter for n in pool.layers], alive) for pool in pools]
    scoring_inputs = scoring_inputs_for(method, data, loss, example, seed)
    scorer = Scorer(method, model, layers, alive, scoring_inputs, chosen)
    remaining = sum(left.values())
    with seeded(seed, model):
        for counts in zip(*counts_by_pool, strict=True):
            if sum(counts) == remaining:
                continue
            scores = scorer.scores(alive)
            if selection.allocation == "lamp":
                scores = lamp_scores(scores, alive)
            if selection.invert:
                scores = {name: -score for name, score in scores.items()}
            for of_pool, count in zip(survivors, counts, strict=True):
                of_pool.keep_highest(scores, count, selection.min_layer_keep)
                alive |= of_pool.masks
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
    """Score the weights by a method once, see `pruners.scores`."""
    chosen = method.with_defaults(options)
    for name in options:
        if name != "exclude" and name in {option.name for option in SHARED}:
            raise UnknownOption(f"Scores are looked at once and nothing is removed: they take no {name}.")
    layers, alive = _start(model, chosen["exclude"], mask)
    with seeded(seed, model):
        scoring_inputs = scoring_inputs_for(method, data, loss, example, seed)
        return Scorer(method, model, layers, alive, scoring_inputs, chosen).scores(alive)


def _start(
    model: nn.Module, exclude: Iterable[str], mask: Mask | None
) -> tuple[dict[str, PrunableLayer], Masks]:
    """Return the layers and which of their weights are still there."""
    layers = layers_to_prune(model, exclude)
    if mask is None:
        return layers, {
            layer.parameter: torch.ones(layer.shape, dtype=torch.bool) for layer in layers.values()
        }
    for name in [*layers, *mask.prunable]:
        if layers.get(name) != mask.prunable.get(name):
            raise BadArtifact(
                "The mask to go on from is of another network or with another exclude: "
                f"layer {name!r} differs."
            )
    return layers, dict(mask.masks)
