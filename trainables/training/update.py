"""One step of training on one batch: the same whether a trial trains or a sweep is being looked at."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pruners.network.inputs import forward
from pruners.network.layer_names import named_parameters
from trainables.config import TrainingConfig
from trainables.task.data.splits import Batch
from trainables.task.loss import Loss
from trainables.training.distillation import Distillation
from trainables.training.learning_compression import QuadraticPenalty
from trainables.training.optimizer import is_built_in

MaskedParameters = Iterable[tuple[nn.Parameter, Tensor]]


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    batch: Batch,
    training: TrainingConfig,
    masked: MaskedParameters = (),
    with_norm: bool = False,
    distillation: Distillation | None = None,
    instead_of_step: Callable[[], None] | None = None,
    penalty: QuadraticPenalty | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Take one optimiser step on ``batch``, in place; return the loss before it and the gradient's norm.

    The loss is a scalar, the L2 norm is there if asked for. The gradient of each of ``masked`` (a parameter
    beside its mask, 0 or 1 in the parameter's dtype) is set to zero where the mask is, before it is clipped;
    after the step of an optimiser that is not built in, so is the parameter. ``distillation`` and
    ``penalty`` change the loss. ``instead_of_step`` is called in the place of the step, before the gradients
    are masked.
    """
    inputs, labels = batch
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    with torch.autocast(parameters[0].device.type, torch.bfloat16, enabled=training.precision == "bf16"):
        outputs = forward(network, inputs)
    value = loss(_in_full(outputs), labels)
    if distillation is not None:
        value = distillation.loss(value, outputs, inputs)
    if penalty is not None:
        value = value + penalty.value()
    optimizer.zero_grad()
    value.backward()
    if instead_of_step is not None:
        instead_of_step()
    for parameter, mask in masked:
        if parameter.grad is not None:
            parameter.grad.mul_(mask)
    if training.clip_norm is not None:
        norm: Tensor | None = nn.utils.clip_grad_norm_(parameters, training.clip_norm)
    else:
        norm = (
            nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]) if with_norm else None
        )
    if instead_of_step is not None:
        return value.detach(), norm
    optimizer.step()
    if not is_built_in(training):
        with torch.no_grad():
            for parameter, mask in masked:
                parameter.masked_fill_(mask == 0, 0)
    return value.detach(), norm


def _in_full(outputs: Any) -> Any:
    """Turn outputs that autocast left in bfloat16 into float32."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.dtype == torch.bfloat16 else outputs
    if type(outputs) in (dict, OrderedDict):
        return {name: _in_full(part) for name, part in outputs.items()}
    if isinstance(outputs, tuple) and hasattr(outputs, "_make"):
        return outputs._make(map(_in_full, outputs))
    return outputs


def masked_parameters(network: nn.Module, masks: Mapping[str, Tensor]) -> list[tuple[nn.Parameter, Tensor]]:
    """Pair each masked parameter with its mask in its own dtype.

    A product with floats is cheaper than a choice by booleans.
    """
    # a tied weight has a name in each of its modules, and its mask may be under any of them
    parameters = named_parameters(network)
    return [(parameters[name], mask.to(parameters[name])) for name, mask in masks.items()]
