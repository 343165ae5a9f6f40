"""Linear mode connectivity: the error on the straight line between two networks (Frankle et al., ICML 2020,
section 2).
"""

from typing import Any

import torch
from torch import nn

from pruners.network.copying import copied
from trainables.execution.trial_setting import TrialSetting
from trainables.task.data.splits import Split
from trainables.task.metrics import NamedMetric

_POINTS = 30
_STABLE = 0.02


def between(one: nn.Module, other: nn.Module, setting: TrialSetting, split: Split) -> dict[str, Any]:
    """Measure the error on the straight line from ``one`` to ``other``.

    ``errors`` holds it at 30 evenly spaced points, both ends among them; BatchNorm's statistics are mixed
    too. ``barrier`` is the highest of them above the mean of the two ends', in shares of the images;
    ``stable`` where that is below 2 %.

    The error is that of the task's primary metric; of one that is no share, the barrier must be below 2 % of
    the ends' mean.
    """
    middle, pair = copied(one), (one.state_dict(), other.state_dict())
    errors = []
    for point in range(_POINTS):
        share = point / (_POINTS - 1)
        mixed = {
            n: torch.lerp(t, pair[1][n], share) if t.is_floating_point() else t for n, t in pair[0].items()
        }
        middle.load_state_dict(mixed)
        errors.append(_error(setting.evaluate(middle, split, "val")[setting.primary], setting.metrics[0]))
    ends = (errors[0] + errors[-1]) / 2
    barrier = max(errors) - ends
    limit = _STABLE if setting.metrics[0].is_share else _STABLE * abs(ends)
    return {"barrier": barrier, "stable": barrier < limit, "errors": errors}


def _error(value: float, metric: NamedMetric) -> float:
    """Return what grows as the network gets worse: a share's complement, another metric itself or its
    negative.
    """
    if metric.goal == "minimize":
        return value
    return 1 - value if metric.is_share else -value
