"""The loss by name, or the user's own function."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional

from trainables.errors import TaskError, nearest
from trainables.task.outputs import auxiliary_scores, class_scores
from trainables.users_code import factory

Loss = Callable[[Any, Tensor], Tensor]
"""The mean loss of a batch, a scalar, from the network's outputs and the labels."""


def aligned(outputs: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs and labels in one shape, and labels in the outputs' dtype: an output for each label.

    A last dimension of 1 may be missing in one of them: (N, 1) outputs for (N,) labels. Raises `TaskError`
    for other shapes, which torch would repeat along each other in silence.
    """
    if not isinstance(outputs, Tensor):
        raise TaskError(
            f"an output for each label is needed, and the network returns {type(outputs).__name__}."
        )
    if outputs.shape == (*labels.shape, 1):
        outputs = outputs.squeeze(-1)
    elif labels.shape == (*outputs.shape, 1):
        labels = labels.squeeze(-1)
    if outputs.shape != labels.shape:
        raise TaskError(
            f"an output for each label is needed; outputs have the shape {tuple(outputs.shape)} and labels "
            f"{tuple(labels.shape)}."
        )
    return outputs, labels.to(outputs.dtype)


def _for_each_label(loss: Loss) -> Loss:
    return lambda outputs, labels: loss(*aligned(outputs, labels))


OF_CLASSES: dict[str, Loss] = {"cross_entropy": functional.cross_entropy, "nll": functional.nll_loss}
OF_VALUES: dict[str, Loss] = {
    "mse": _for_each_label(functional.mse_loss),
    "l1": _for_each_label(functional.l1_loss),
    "huber": _for_each_label(functional.huber_loss),
    "bce_with_logits": _for_each_label(functional.binary_cross_entropy_with_logits),
}
BUILT_IN = OF_CLASSES | OF_VALUES


def resolve(name: str, label_smoothing: float = 0.0, ignored: int = -100, auxiliary: bool = False) -> Loss:
    """Return the mean loss of a batch, by name.

    Those of classes take outputs (N, classes, ...), or what holds such scores (see `class_scores`), and
    labels (N, ...), of which ``ignored`` ones do not count; with ``auxiliary`` the scores of auxiliary heads
    count too. Those of values take an output for each label. ``name`` is a built-in or the user's
    ``package.module:function``, which gets the outputs as they are. Raises `TaskError` for an unknown name,
    and for ``label_smoothing`` with any loss but cross_entropy.
    """
    if label_smoothing and name != "cross_entropy":
        raise TaskError(f"label_smoothing belongs to the loss cross_entropy, not to {name}.")
    if factory.is_reference(name):
        return factory.resolve(name, "loss")
    if name not in BUILT_IN:
        raise TaskError(f"there is no loss {name!r}; {nearest(name, BUILT_IN)}")
    if name == "nll":
        return _of_scores(partial(functional.nll_loss, ignore_index=ignored), auxiliary)
    if name == "cross_entropy":
        smoothed = partial(functional.cross_entropy, ignore_index=ignored, label_smoothing=label_smoothing)
        return _of_scores(smoothed, auxiliary)
    return BUILT_IN[name]


def _of_scores(loss: Loss, auxiliary: bool) -> Loss:
    """Return the loss of the class scores in any outputs, with those of auxiliary heads where asked for."""

    def summed(outputs: Any, labels: Tensor) -> Tensor:
        value = loss(class_scores(outputs), labels)
        for weight, scores in auxiliary_scores(outputs) if auxiliary else ():
            value = value + weight * loss(scores, labels)
        return value

    return summed


def weight(name: str, ignored: int, labels: Tensor) -> int | Tensor:
    """Return how much a batch's mean loss weighs in that of a split.

    By its labels that count where they are classes, else by its examples.
    """
    return (labels != ignored).sum() if name in OF_CLASSES else len(labels)
