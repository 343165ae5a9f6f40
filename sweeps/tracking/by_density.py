"""A lottery's levels with the density as their axis."""

from collections.abc import Mapping
from typing import Any

from trainables.metric_names import DENSITY
from trainables.recipes.lottery import SECOND_ORDER, TICKET, TRANSFER

_BESIDE_THE_TICKET = ("reinit", "random", TRANSFER, SECOND_ORDER)


def by_density(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return ``density/<track>`` for each track of a level, beside the density; nothing for what is no level.

    The values are of the task's primary metric.

    The dense network (level 0) has density 1 and is the first point of the ticket's curve.
    """
    if "level" not in metrics:
        return {}
    primary = metrics["primary"]
    others = {
        track: metrics[name] for track in _BESIDE_THE_TICKET if (name := f"{track}/{primary}") in metrics
    }
    curves = {f"density/{track}": value for track, value in ({TICKET: metrics[primary]} | others).items()}
    return {DENSITY: metrics.get(DENSITY, 1.0), **curves}
