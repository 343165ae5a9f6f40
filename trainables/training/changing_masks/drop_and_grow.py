"""Dynamic sparse training: layers drop weights and grow others, SET's way or RigL's."""

import math
from collections.abc import Callable
from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from pruners import Mask
from trainables import seeds
from trainables.stages import DropAndGrow
from trainables.training.changing_masks.changing_mask import ChangingMask


@final
class MovingMask(ChangingMask):
    """A mask that moves within each layer, whose number of weights stays (Evci et al. 2020, algorithm 1).

    Of a layer's weights the share `dropped_share` drops, those of the smallest magnitude, and as many of the
    places that are free then are grown: those of the largest gradient of this batch (RigL), or any by the
    seed (SET, Mocanu et al. 2018, arXiv 1707.04780). What was just dropped may grow again, and then stays
    what it was; what was not there begins at zero. At such a step no weight is trained. Among equals the
    earlier place goes first. A weight that takes no gradient keeps its mask.
    """

    def __init__(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, mask: Mask, stage: DropAndGrow, seed: int
    ) -> None:
        super().__init__(network, optimizer, mask)
        self._mask, self._stage, self._seed = mask, stage, seed
        self._recorded = dict(mask.options.get("dynamic_sparse", {}))

    def instead_of_step(self, step: int) -> Callable[[], None] | None:
        """Return the move at every step below ``stop`` that ``every`` divides, the first one included."""
        due = step < self._stage.stop and step % self._stage.every == 0
        return partial(self._move, step) if due else None

    @property
    def artifact(self) -> Mask:
        """Return the mask as it is now, with the step of its last move among its options."""
        now = [mask.bool().cpu() for _, mask in self.masked]
        masks = dict(zip(self._mask.masks, now, strict=True))
        return self._mask.with_masks(masks, dynamic_sparse=self._recorded)

    def _move(self, step: int) -> None:
        share = dropped_share(step, self._stage)
        random = seeds.generator(self._seed, "grow", step)
        moved = []
        for parameter, mask in self.masked:
            kept = mask.bool()
            # drawn for every layer, so that none depends on whether another takes a gradient
            drawn = torch.rand(kept.shape, generator=random, device="cpu")
            worth = drawn if self._stage.grow == "random" else parameter.grad
            if parameter.requires_grad and worth is not None:
                kept = dropped_and_grown(parameter.detach(), kept, share, worth.to(parameter.device).abs())
            moved.append(kept)
        self._put(moved)
        self._recorded = {"grow": self._stage.grow, "moved_at": step}


def dropped_share(step: int, stage: DropAndGrow) -> float:
    """Compute the share dropped at step t: alpha / 2 (1 + cos(pi t / T_end)), Evci et al. 2020, section 3."""
    return stage.alpha / 2 * (1 + math.cos(math.pi * step / stage.stop))


def dropped_and_grown(weight: Tensor, kept: Tensor, share: float, worth: Tensor) -> Tensor:
    """Return a layer's mask after ``share`` of its weights, rounded down, has moved.

    All tensors have one shape: ``kept`` is the bool mask before, ``worth`` (not negative) says how much a
    place would be liked.
    """
    count = int(kept.count_nonzero())
    moving = math.floor(share * count)
    stay = _highest(weight.abs().masked_fill(~kept, -1), count - moving)
    return stay | _highest(worth.masked_fill(stay, -1), moving)


def _highest(values: Tensor, count: int) -> Tensor:
    """Mark the ``count`` highest values; sorted, as a selection on a GPU gives equal ones in any order."""
    order = values.flatten().argsort(descending=True, stable=True)[:count]
    marked = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    return marked.index_fill_(0, order, True).view(values.shape)
