"""One step of training on one batch: the same whether a trial trains or a sweep is being looked at."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from pruners.inputs import forward
from pruners.layer_names import named_parameters
from trainables.data.splits import Batch
from trainables.loss import Loss

MaskedParameters = Iterable[tuple[nn.Parameter, Tensor]]


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    batch: Batch,
    masked: MaskedParameters = (),
    with_norm: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Take one optimiser step on ``batch``, in place; the loss before it (a scalar), and the L2 norm of the gradient if asked for.

    The gradient of each of ``masked`` (a parameter beside its mask, 0 or 1 in the parameter's dtype) is set to zero where the mask is.
    """
    inputs, labels = batch
    value = loss(forward(network, inputs), labels)
    optimizer.zero_grad()
    value.backward()
    for parameter, mask in masked:
        if parameter.grad is not None:
            parameter.grad.mul_(mask)
    norm = nn.utils.get_total_norm([p.grad for p in _parameters(optimizer) if p.grad is not None]) if with_norm else None
    optimizer.step()
    return value.detach(), norm


def masked_parameters(network: nn.Module, masks: Mapping[str, Tensor]) -> list[tuple[nn.Parameter, Tensor]]:
    """Each masked parameter beside its mask in its own dtype: a product with floats is cheaper than a choice by booleans."""
    # a tied weight has a name in each of its modules, and its mask may be under any of them
    parameters = named_parameters(network)
    return [(parameters[name], mask.to(parameters[name])) for name, mask in masks.items()]


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
