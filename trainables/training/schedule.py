"""The learning rate over training, as a pure function of the (fractional) epoch."""

import math
from bisect import bisect_right

from trainables.config import ScheduleConfig

_POLY_POWER = 0.9


def factor(schedule: ScheduleConfig, epoch: float, horizon: float) -> float:
    """Compute what the learning rate is multiplied by at ``epoch`` of ``horizon``, in [0, 1].

    0 <= epoch < horizon. Within ``warmup`` epochs it rises linearly from 0. ``cosine``, ``linear`` and
    ``poly`` (a straight line to the power of 0.9: DeepLab, Chen et al., arXiv 1606.00915, section 4.1) then
    fall from 1 to 0 at the horizon; ``multistep`` counts its milestones from the start of training, warm-up
    included.
    """
    if epoch < schedule.warmup:
        return epoch / schedule.warmup
    done = (epoch - schedule.warmup) / (horizon - schedule.warmup)
    if schedule.name == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if schedule.name == "linear":
        return 1 - done
    if schedule.name == "poly":
        return float((1 - done) ** _POLY_POWER)
    if schedule.name == "multistep":
        passed = (
            math.floor(epoch / schedule.every)
            if schedule.every
            else bisect_right(sorted(schedule.milestones), epoch)
        )
        return float(schedule.gamma**passed)
    return 1.0
