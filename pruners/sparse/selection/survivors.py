"""The weights of a pool that are left, round after round."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from pruners.sparse.curvature.scoring_inputs import Scores
from pruners.sparse.selection.threshold import highest_of_layers


@final
class Survivors:
    """Which weights of several parameters are left while they compete for ever fewer places.

    Keeps the places of those left in the parameters one after the other, so that a round takes time for these
    and not for all.
    """

    def __init__(self, names: Sequence[str], masks: Mapping[str, Tensor]) -> None:
        self._masks = {name: masks[name] for name in names}
        self._sizes = [mask.numel() for mask in self._masks.values()]
        left = torch.cat([mask.flatten() for mask in self._masks.values()])
        self._left = int(left.count_nonzero())
        # None while nothing is removed: naming every place costs a single round as much as choosing
        self._places = None if self._left == len(left) else left.nonzero().flatten()

    @property
    def masks(self) -> dict[str, Tensor]:
        """Return bool tensors on the CPU, True where a weight is left; by parameter name, of its shape."""
        return self._masks

    def keep_highest(self, scores: Scores, count: int, least: int) -> None:
        """Keep the ``count`` highest scores of those left, among equal ones the earlier.

        Every layer keeps its ``least`` best, or all.
        """
        if count == self._left:
            return
        device = scores[next(iter(self._masks))].device
        ranked = torch.cat([_at_least_single(scores[name].to(device)).flatten() for name in self._masks])
        candidates = ranked if self._places is None else ranked.index_select(0, self._places.to(device))
        sizes = [int(mask.count_nonzero()) for mask in self._masks.values()] if least else [self._left]
        kept = highest_of_layers(candidates, sizes, count, least).nonzero().flatten().cpu()
        self._places = kept if self._places is None else self._places.index_select(0, kept)
        self._left = count
        flat = torch.zeros(sum(self._sizes), dtype=torch.bool, device="cpu")
        flat.index_fill_(0, self._places, True)
        parts = zip(self._masks.items(), flat.split(self._sizes), strict=True)
        # copies: a mask that is sent or stored by itself would take all others' memory along
        self._masks = {name: part.view(mask.shape).clone() for (name, mask), part in parts}


def _at_least_single(scores: Tensor) -> Tensor:
    """Return half precision as single, which holds its values: it has no kthvalue everywhere."""
    return scores if scores.dtype == torch.float64 else scores.float()
