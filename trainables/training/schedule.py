"""The learning rate over training, as a pure function of the position in it."""

import math
from bisect import bisect_right

from trainables.config import ScheduleConfig


def factor(schedule: ScheduleConfig, position: float, horizon: float) -> float:
    """What the learning rate is multiplied by at ``position`` of ``horizon`` epochs, 0 <= position < horizon; in [0, 1].

    Within ``warmup`` epochs it rises linearly from 0. ``cosine`` and ``linear`` then fall from 1 to 0 at the horizon;
    ``multistep`` counts its milestones from the start of training, warm-up included.
    """
    if position < schedule.warmup:
        return position / schedule.warmup
    done = (position - schedule.warmup) / (horizon - schedule.warmup)
    if schedule.name == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if schedule.name == "linear":
        return 1 - done
    if schedule.name == "multistep":
        passed = (
            math.floor(position / schedule.every)
            if schedule.every
            else bisect_right(sorted(schedule.milestones), position)
        )
        return float(schedule.gamma**passed)
    return 1.0
