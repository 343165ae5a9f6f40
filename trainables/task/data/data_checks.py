"""Checks that examples are finite numbers and labels are classes."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pruners.network.inputs import input_tensors
from trainables.config import TaskConfig
from trainables.errors import Refused
from trainables.task.data.data import Data
from trainables.task.data.splits import Split, TensorSplit
from trainables.task.loss import OF_CLASSES, OF_VALUES

_SAMPLE = 64  # examples looked at of a split that streams


def check_data(data: Data, task: TaskConfig) -> None:
    """Check all examples in memory and some of those that stream.

    Raises `Refused` for inputs that are not finite and, with a built-in loss, for labels that are not what it
    takes.
    """
    for name in ("train", "validation", "test"):
        inputs, labels = _examples(getattr(data, name))
        if bad := _describe_non_finite(inputs):
            raise Refused(
                ("task", "data"),
                f"data {task.data}: {name} has inputs that are no numbers (NaN or infinity): {bad}.",
            )
        if (
            task.loss in OF_CLASSES
            and data.num_classes is not None
            and (bad := _no_class(labels, data.num_classes, data.labels_nothing))
        ):
            raise Refused(
                ("task", "data"),
                f"data {task.data}: {name} has {bad}; classes are 0 to {data.num_classes - 1}.",
            )
        if task.loss in OF_VALUES and (bad := _describe_non_finite(labels)):
            raise Refused(
                ("task", "data"),
                f"data {task.data}: {name} has labels that are no numbers (NaN or infinity): {bad}.",
            )
        if task.loss == "bce_with_logits" and not 0 <= float(labels.min()) <= float(labels.max()) <= 1:
            odd = float(labels.min()) if labels.min() < 0 else float(labels.max())
            raise Refused(
                ("task", "data"),
                f"data {task.data}: {name} has the label {odd:g}; those of bce_with_logits are 0 to 1.",
            )


def _describe_non_finite(inputs: Any) -> str | None:
    """Describe how many examples hold NaN or infinity, and which is the first; None if none does."""
    for tensor in input_tensors(inputs):
        # the sum is finite where every number is, or overflows: far cheaper than a look at each
        if (tensor.is_floating_point() or tensor.is_complex()) and not tensor.sum().isfinite():
            bad = ~tensor.isfinite().flatten(1).all(dim=1) if tensor.dim() > 1 else ~tensor.isfinite()
            if bad.any():
                return f"{int(bad.sum())} of {len(bad)}, the first is number {int(bad.nonzero()[0])}"
    return None


def explain_non_finite_loss(batches: Iterable[Any], which: str) -> str:
    """Explain why a loss is no number: by inputs that are none, or else by too large a learning rate.

    ``which`` is what the sentence calls ``batches``, whose inputs are looked at.
    """
    bad = next((bad for inputs in batches if (bad := _describe_non_finite(inputs))), None)
    return (
        f"{which} has inputs that are no numbers (NaN or infinity): {bad}"
        if bad
        else "a smaller learning rate may help"
    )


def _examples(split: Split) -> tuple[Any, Any]:
    if isinstance(split, TensorSplit):
        return split.inputs, split.labels
    cpu = torch.device("cpu")
    order = torch.linspace(0, len(split) - 1, min(_SAMPLE, len(split))).long()
    return next(iter(split.batches(order, len(order), cpu)))


def _no_class(labels: Tensor, classes: int, ignored: int) -> str | None:
    if labels.is_floating_point():
        return None
    judged = labels[labels != ignored] if labels.dim() > 1 else labels
    if judged.numel() and judged.min() < 0:
        return f"the label {int(judged.min())}"
    return f"the label {int(judged.max())}" if judged.numel() and judged.max() >= classes else None
