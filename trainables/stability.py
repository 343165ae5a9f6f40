"""Linear mode connectivity: the error on the straight line between two networks (Frankle et al., ICML 2020, section 2)."""

from typing import Any

import torch
from torch import nn

from pruners.copying import copied
from trainables.data.splits import Split
from trainables.setting import Setting

_POINTS = 30
_STABLE = 0.02


def between(one: nn.Module, other: nn.Module, setting: Setting, split: Split) -> dict[str, Any]:
    """``errors`` at 30 evenly spaced points from ``one`` to ``other``, both ends among them; BatchNorm's statistics are mixed too.

    ``barrier`` is the highest of them above the mean of the two ends', in shares of the images; ``stable`` where that is below 2 %.
    """
    middle, ends = copied(one), (one.state_dict(), other.state_dict())
    errors = []
    for point in range(_POINTS):
        share = point / (_POINTS - 1)
        mixed = {n: torch.lerp(t, ends[1][n], share) if t.is_floating_point() else t for n, t in ends[0].items()}
        middle.load_state_dict(mixed)
        errors.append(1 - setting.evaluate(middle, split, "val")["val/accuracy"])
    barrier = max(errors) - (errors[0] + errors[-1]) / 2
    return {"barrier": barrier, "stable": barrier < _STABLE, "errors": errors}
