"""The optimiser that a training configuration names, fused (one pass over each parameter) where torch can."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from trainables.config import OPTIMIZERS, TrainingConfig
from trainables.errors import TaskError
from trainables.users_code import factory

_BUILT_IN = dict(zip(OPTIMIZERS, (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW), strict=True))
_FUSED_ON = ("cpu", "cuda")


def make(network: nn.Module, training: TrainingConfig) -> torch.optim.Optimizer:
    """Make the optimiser over every trainable parameter.

    Raises `TaskError` when nothing in the network is trainable, there is no such optimiser, it refuses its
    options, takes no weight decay where there is some, or needs a closure.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        raise TaskError("the network has no trainable parameter.")
    options: dict[str, Any] = {"lr": training.lr, "weight_decay": training.weight_decay}
    if is_built_in(training):
        kind: Callable[..., Any] = _BUILT_IN[training.optimizer]
        options["fused"] = all(p.device.type in _FUSED_ON and p.is_floating_point() for p in parameters)
        if training.optimizer == "sgd":
            options |= {"momentum": training.momentum, "nesterov": training.nesterov}
    else:
        kind = factory.resolve(reference(training), "optimizer")
        if not training.weight_decay:
            del options["weight_decay"]
    try:
        made = kind(parameters, **options | training.optimizer_options)
    except Exception as error:
        raise TaskError(f"optimizer {training.optimizer}: {factory.describe(error)}.") from error
    if not isinstance(made, torch.optim.Optimizer):
        raise TaskError(
            f"optimizer {training.optimizer} made {type(made).__name__}, not a torch.optim.Optimizer."
        )
    if any(
        p.default is p.empty and p.kind is not p.VAR_POSITIONAL
        for p in inspect.signature(made.step).parameters.values()
    ):
        raise TaskError(
            f"optimizer {training.optimizer} needs a closure at every step, which training does not give it."
        )
    return made


def is_built_in(training: TrainingConfig) -> bool:
    """Tell whether the optimiser is one of those with a name of their own."""
    return training.optimizer in _BUILT_IN


def reference(training: TrainingConfig) -> str:
    """Return an optimiser that is not built in as ``package.module:Class``.

    The last part of ``torch.optim.RMSprop`` is its class.
    """
    name = training.optimizer
    return name if ":" in name else ":".join(name.rpartition(".")[::2])
