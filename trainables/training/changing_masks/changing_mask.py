"""A mask that changes while the network under it is trained, as the loop sees it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pruners import Mask
from trainables.training.update import masked_parameters


class ChangingMask(ABC):
    """The mask of a network in training.

    ``masked`` holds each masked parameter beside its mask as it is now, 0 or 1 in the parameter's dtype. At
    every step the weights that it leaves out are exactly zero, and so are the optimiser's moments of them. A
    weight that comes back has moments of zero too.
    """

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer, mask: Mask) -> None:
        self._optimizer = optimizer
        self.masked = masked_parameters(network, mask.masks)

    def instead_of_step(self, step: int) -> Callable[[], None] | None:
        """Return what takes the place of the optimiser's step number ``step`` (from 0), if anything does.

        It is called with the gradients of every weight, removed ones too, still there.
        """
        return None

    def after(self, steps: int) -> None:
        """Change the mask where that is due after ``steps`` steps of the training."""
        return

    @property
    @abstractmethod
    def artifact(self) -> Mask:
        """Return the mask as it is now."""

    def _put(self, masks: Sequence[Tensor]) -> None:
        """Change the mask to ``masks``, bool tensors in the order of ``masked``."""
        with torch.no_grad():
            for (parameter, mask), kept in zip(self.masked, masks, strict=True):
                changed = kept.to(parameter.device) != mask.bool()
                mask.copy_(kept)
                parameter.masked_fill_(mask == 0, 0)
                for moment in self._optimizer.state.get(parameter, {}).values():
                    # a step count is no moment, and some optimisers keep sums over rows and columns
                    if isinstance(moment, Tensor) and moment.shape == parameter.shape:
                        moment.masked_fill_(changed, 0)
