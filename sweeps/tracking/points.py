"""What of a trial's metrics is a point of its run's history, and over which axis."""

import time
from collections.abc import Mapping
from typing import Any

from sweeps.tracking.curves import with_spread
from trainables.metric_names import DENSITY, EARLIER, OF_A_LAYER, TRAINING
from trainables.recipes.lottery import SECOND_ORDER, TICKET, TRANSFER

_BESIDE_THE_TICKET = ("reinit", "random", TRANSFER, SECOND_ORDER)


def point_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return a journal's event for metrics: the numbers over ``step``, and what else belongs beside them.

    ``curves`` of a lottery's level are over the density, ``training`` has a row for each epoch of it;
    ``earlier`` are the points before that nobody has heard of yet.
    """
    return {
        "at": time.time(),
        "point": _numbers(metrics),
        "curves": by_density(metrics),
        "training": _training(metrics),
        "earlier": [_numbers(epoch) for epoch in metrics.get(EARLIER, ())],
    }


def rest_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what belongs to no history: the figures of each layer, and whatever is no number."""
    ours = {n: v for n, v in metrics.items() if _is_ours(n)}
    layers = {n: v for n, v in ours.items() if n.startswith(OF_A_LAYER)}
    return {
        "layers": layers,
        "others": {n: v for n, v in ours.items() if not _is_number(n, v) and n not in layers},
    }


def by_density(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return ``density/<track>`` for each track of a level, beside the density; nothing for what is no level.

    The values are of the task's primary metric, the mean over the seeds; ``density/<track>_low`` and
    ``_high`` are a standard deviation below and above it, where there are several.

    The dense network (level 0) has density 1 and is the first point of the ticket's curve.
    """
    if "level" not in metrics:
        return {}
    primary = metrics["primary"]
    names = {TICKET: primary} | {track: f"{track}/{primary}" for track in _BESIDE_THE_TICKET}
    curves: dict[str, float] = {}
    for track, name in names.items():
        if name in metrics:
            curves |= with_spread(track, metrics[name], metrics.get(f"{name}_std", 0.0))
    return {DENSITY: metrics.get(DENSITY, 1.0), **curves}


def _training(metrics: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return the training curve of a level: the primary metric over the level's own steps."""
    if "level" not in metrics:
        return []
    name = f"training/level {metrics['level']:02d}"
    return [
        {"training/step": epoch["step"], name: epoch[metrics["primary"]]}
        for epoch in metrics.get(TRAINING, ())
    ]


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {n: v for n, v in metrics.items() if _is_ours(n) and _is_number(n, v)}


def _is_ours(name: str) -> bool:
    return name in ("step", "epoch", "level") or "/" in name


def _is_number(name: str, value: Any) -> bool:
    return isinstance(value, int | float) and not name.startswith(OF_A_LAYER)
