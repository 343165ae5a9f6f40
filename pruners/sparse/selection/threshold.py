"""Which scores are the highest, without sorting them."""

from collections.abc import Sequence

import torch
from torch import Tensor


def highest(scores: Tensor, count: int) -> Tensor:
    """Mark the ``count`` highest of the finite scores (n,), in a bool tensor (n,).

    Among equal ones the earlier are marked. The threshold is the count-th highest score, which
    `torch.kthvalue` selects in linear time.
    """
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = torch.kthvalue(scores, len(scores) - count + 1).values
    keep = scores >= threshold
    surplus = int(keep.count_nonzero()) - count
    if surplus:
        ties = (scores == threshold).nonzero().flatten()
        keep[ties[len(ties) - surplus :]] = False
    return keep


def highest_of_layers(scores: Tensor, sizes: Sequence[int], count: int, least: int) -> Tensor:
    """Mark the highest scores of several layers, of ``sizes`` and one after the other, as `highest` does.

    Every layer keeps its best ``least``, or all that it has, whatever they are worth; ``count`` must be
    enough for these.
    """
    if not least:
        return highest(scores, count)
    keep = torch.cat([highest(layer, min(least, len(layer))) for layer in scores.split(list(sizes))])
    others = (~keep).nonzero().flatten()
    keep[others[highest(scores[others], count - int(keep.count_nonzero()))]] = True
    return keep
