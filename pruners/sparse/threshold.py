"""Which scores are the highest, without sorting them."""

from collections.abc import Sequence

import torch
from torch import Tensor


def highest(scores: Tensor, count: int) -> Tensor:
    """Bool tensor (n,), True at the ``count`` highest of the finite scores (n,); among equal ones the earlier are kept.

    The threshold is the count-th highest score, which `torch.kthvalue` selects in linear time.
    """
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = torch.kthvalue(scores, len(scores) - count + 1).values
    keep = scores >= threshold
    surplus = int(keep.sum()) - count
    if surplus:
        ties = (scores == threshold).nonzero().flatten()
        keep[ties[len(ties) - surplus :]] = False
    return keep


def highest_of_layers(layers: Sequence[Tensor], count: int, least: int) -> list[Tensor]:
    """As `highest` over several layers' scores, (n_i,) each.

    Every layer keeps its best ``least``, or all that it has, whatever they are worth; ``count`` must be enough for these.
    """
    scores = torch.cat(list(layers))
    if least:
        keep = torch.cat([highest(layer, min(least, len(layer))) for layer in layers])
        others = (~keep).nonzero().flatten()
        keep[others[highest(scores[others], count - int(keep.sum()))]] = True
    else:
        keep = highest(scores, count)
    return list(keep.split([len(layer) for layer in layers]))
