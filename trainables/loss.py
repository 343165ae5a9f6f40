"""The loss by name, or the user's own function."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from trainables import factory
from trainables.errors import TaskError, nearest

Loss = Callable[[Tensor, Tensor], Tensor]

BUILT_IN: dict[str, Loss] = {"cross_entropy": functional.cross_entropy, "nll": functional.nll_loss}


def resolve(name: str, label_smoothing: float = 0.0) -> Loss:
    """The mean loss of a batch, from outputs (N, classes, ...) and labels (N, ...) to a scalar.

    ``name`` is a built-in or the user's ``package.module:function``. Raises `TaskError` for an unknown name, and for
    ``label_smoothing`` with any loss but cross_entropy.
    """
    if label_smoothing and name != "cross_entropy":
        raise TaskError(f"label_smoothing belongs to the loss cross_entropy, not to {name}.")
    if factory.is_reference(name):
        return factory.resolve(name, "loss")
    if name not in BUILT_IN:
        raise TaskError(f"there is no loss {name!r}; {nearest(name, BUILT_IN)}")
    return partial(functional.cross_entropy, label_smoothing=label_smoothing) if label_smoothing else BUILT_IN[name]
