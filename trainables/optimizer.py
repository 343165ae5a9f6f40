"""The optimiser that a training configuration names, fused (one pass over each parameter) where torch can."""

import torch
from torch import nn

from trainables.config import TrainingConfig
from trainables.errors import TaskError

_FUSED_ON = ("cpu", "cuda")


def make(network: nn.Module, training: TrainingConfig) -> torch.optim.Optimizer:
    """SGD (momentum, Nesterov), Adam or AdamW over every trainable parameter.

    Raises `TaskError` when nothing in the network is trainable or torch refuses the combination (Nesterov without momentum).
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        raise TaskError("the network has no trainable parameter.")
    fused = all(parameter.device.type in _FUSED_ON and parameter.is_floating_point() for parameter in parameters)
    try:
        if training.optimizer == "sgd":
            return torch.optim.SGD(
                parameters,
                lr=training.lr,
                momentum=training.momentum,
                nesterov=training.nesterov,
                weight_decay=training.weight_decay,
                fused=fused,
            )
        kind = torch.optim.Adam if training.optimizer == "adam" else torch.optim.AdamW
        return kind(parameters, lr=training.lr, weight_decay=training.weight_decay, fused=fused)
    except ValueError as error:
        raise TaskError(f"optimizer {training.optimizer}: {error}.") from error
