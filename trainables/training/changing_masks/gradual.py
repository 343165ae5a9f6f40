"""Gradual pruning: a mask that is drawn again and again while training, ever smaller."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import final

import torch
from torch import Tensor, nn

from pruners import Mask
from trainables.stages import Gradual
from trainables.training.changing_masks.changing_mask import ChangingMask


@final
class GradualMask(ChangingMask):
    """A mask that is drawn from all weights every so many steps (Zhu & Gupta 2017, section 3).

    Between two draws a removed weight is zero, and its value is put by in ``removed``, by parameter name: it
    is not updated, and competes with it for its place at the next draw. After the last draw nothing comes
    back. ``draw`` returns the mask of the network as it stands with a share of the schedule done.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        mask: Mask,
        removed: Mapping[str, Tensor],
        stage: Gradual,
        draw: Callable[[Fraction], Mask],
    ) -> None:
        super().__init__(network, optimizer, mask)
        self._mask, self._stage, self._draw = mask, stage, draw
        self.removed = dict(removed)

    @property
    def artifact(self) -> Mask:
        """Return the mask that was drawn last."""
        return self._mask

    def after(self, steps: int) -> None:
        """Draw the mask where that is due."""
        stage = self._stage
        due = steps == stage.end or (
            stage.begin < steps < stage.end and (steps - stage.begin) % stage.every == 0
        )
        if not due:
            return
        with torch.no_grad():
            for name, (parameter, _) in zip(self._mask.masks, self.masked, strict=True):
                if name in self.removed:
                    parameter.add_(self.removed[name].to(parameter))
            self._mask = self._draw(Fraction(steps - stage.begin, stage.end - stage.begin))
            kept = list(self._mask.masks.values())
            self.removed = {}
            if steps < stage.end:
                self.removed = {
                    name: parameter.masked_fill(mask.to(parameter.device), 0)
                    for (name, mask), (parameter, _) in zip(
                        self._mask.masks.items(), self.masked, strict=True
                    )
                }
            self._put(kept)


def kept_share(final: Fraction, done: Fraction) -> Fraction:
    """Compute what is kept with a share of the schedule ``done``, ``final`` at its end.

    It is 1 - s, where s = s_f + (s_i - s_f) (1 - done)^3 is the sparsity, s_i = 0 and done = (t - t_0) / (n
    dt) (Zhu & Gupta 2017, equation 1).
    """
    return final + (1 - final) * (1 - done) ** 3
