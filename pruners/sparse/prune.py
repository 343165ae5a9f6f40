"""From a network to a mask: allocate, then score and remove, round after round."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pruners.calibration.calibration import Calibration, calibration_of
from pruners.errors import BadArtifact, PrunerError, UnknownOption
from pruners.network.inputs import Inputs
from pruners.network.seeding import seeded
from pruners.sparse.curvature.scoring_inputs import Scores
from pruners.sparse.curves.measured_pools import measured_pools
from pruners.sparse.fitting.network_refit import refitted
from pruners.sparse.mask import Mask
from pruners.sparse.methods.score_method import ScoreMethod
from pruners.sparse.scorer import Scorer, scoring_inputs_for
from pruners.sparse.selection.allocation import Pool, allocated_pools
from pruners.sparse.selection.counts import after_rounds
from pruners.sparse.selection.lamp import lamp_scores
from pruners.sparse.selection.owl import owl_pools
from pruners.sparse.selection.prunable import PrunableLayer, layers_to_prune
from pruners.sparse.selection.shared_options import (
    BY_IMAGES,
    SHARED_OPTIONS,
    SelectionOptions,
    selection_options,
)
from pruners.sparse.selection.survivors import Survivors

Masks = dict[str, Tensor]


def prune(
    model: nn.Module,
    method: ScoreMethod,
    *,
    keep_ratio: float | None,
    budget: int | None,
    data: Calibration | Inputs | Iterable[Any] | None,
    loss: Callable[..., Tensor] | None,
    example: Inputs | None,
    seed: int,
    mask: Mask | None,
    options: Mapping[str, Any],
) -> Mask:
    """Choose a mask by a method, see `pruners.compress`."""
    chosen = method.with_defaults(options)
    layers, alive = _start(model, chosen["exclude"], mask)
    selection = selection_options(chosen, layers, method.signed(chosen))
    left = {name: int(alive[layer.parameter].count_nonzero()) for name, layer in layers.items()}
    pools = allocated_pools(layers, left, selection, keep_ratio, budget)
    if isinstance(data, Iterator):
        data = tuple(data)  # read twice: to score and to calibrate
    calibration = _calibration(model, method, data, chosen)
    scoring_inputs = scoring_inputs_for(method, data, loss, example, seed)
    scorer = Scorer(method, model, layers, alive, scoring_inputs, chosen)
    scores_of = partial(_scores, scorer, selection)
    with seeded(seed, model):
        if calibration is not None and selection.allocation == "measured":
            scores = scores_of(alive)
            scores_of = partial(_known, scores)
            pools = measured_pools(pools, layers, alive, scores, selection, calibration)
        if calibration is not None and selection.allocation == "owl":
            pools = owl_pools(pools, layers, alive, selection, calibration)
        _remove_in_rounds(pools, layers, alive, scores_of, selection)
    asked = {"keep_ratio": float(keep_ratio)} if keep_ratio is not None else {"budget": int(budget or 0)}
    chosen |= {"seed": seed} | asked
    if mask is not None:
        chosen["mask"] = {"method": mask.method, "options": mask.options}
    chosen_mask = Mask(method.name, chosen, layers, alive, source=model)
    if calibration is not None and chosen["refit"] != "none":
        with seeded(seed, model):
            return refitted(chosen_mask, calibration, chosen["refit"], chosen["ridge"])
    return chosen_mask


def _remove_in_rounds(
    pools: Sequence[Pool],
    layers: Mapping[str, PrunableLayer],
    alive: Masks,
    scores_of: Callable[[Masks], Scores],
    selection: SelectionOptions,
) -> None:
    """Score and remove, round after round, until every pool keeps what it may; changes ``alive``."""
    left = [sum(int(alive[layers[n].parameter].count_nonzero()) for n in pool.layers) for pool in pools]
    counts_by_pool = [
        after_rounds(of_pool, pool.keep, selection.rounds, selection.schedule)
        for pool, of_pool in zip(pools, left, strict=True)
    ]
    survivors = [Survivors([layers[n].parameter for n in pool.layers], alive) for pool in pools]
    remaining = sum(left)
    for counts in zip(*counts_by_pool, strict=True):
        if sum(counts) == remaining:
            continue
        scores = scores_of(alive)
        for of_pool, count in zip(survivors, counts, strict=True):
            of_pool.keep_highest(scores, count, selection.min_layer_keep)
            alive |= of_pool.masks
        remaining = sum(counts)


def _calibration(
    model: nn.Module,
    method: ScoreMethod,
    data: Calibration | Inputs | Iterable[Any] | None,
    options: Mapping[str, Any],
) -> Calibration | None:
    """Return the calibration where one is wanted. Raises PrunerError where there are no images for it."""
    if not method.wants_data(options):
        return None
    if data is None:
        allocation = options["allocation"]
        wish = f"allocation {allocation}" if allocation in BY_IMAGES else f"refit {options['refit']}"
        raise PrunerError(f"{wish} needs data=, a few hundred inputs of the network.")
    return calibration_of(model, data)


def _known(scores: Scores, _: Masks) -> Scores:
    return scores


def _scores(scorer: Scorer, selection: SelectionOptions, alive: Masks) -> Scores:
    """Score the weights as they are to be compared: the highest are kept."""
    scores = scorer.scores(alive)
    if selection.allocation == "lamp":
        scores = lamp_scores(scores, alive)
    return {name: -score for name, score in scores.items()} if selection.invert else scores


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
        if name != "exclude" and name in {option.name for option in SHARED_OPTIONS}:
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
            layer.parameter: torch.ones(layer.shape, dtype=torch.bool, device="cpu")
            for layer in layers.values()
        }
    for name in [*layers, *mask.prunable]:
        if layers.get(name) != mask.prunable.get(name):
            raise BadArtifact(
                "The mask to go on from is of another network or with another exclude: "
                f"layer {name!r} differs."
            )
    return layers, dict(mask.masks)
