"""One training by several processes, each with a share of every batch: what they tell each other.

All of it changes nothing where there is one process.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from trainables.task.loss import Loss
from trainables.training.distillation import Distillation
from trainables.training.step_plan import Part, Share


def joined(network: nn.Module, share: Share, device: torch.device) -> nn.Module:
    """Return what a batch goes through so that gradients are averaged over the processes.

    It begins with the weights and buffers of process 0. BatchNorm's statistics are each process's own; the
    running ones are those of process 0, at every step.
    """
    if share.of == 1:
        return network
    devices = [device] if device.type == "cuda" else None
    # without the search a parameter that a loss does not reach, of an auxiliary head say, ends the training
    return DistributedDataParallel(network, device_ids=devices, find_unused_parameters=True)


def of_part(loss: Loss, share: Share, part: Part, weight: Callable[[Tensor], int | Tensor]) -> Loss:
    """Return the loss of which the mean over the processes is ``loss`` of the whole batch.

    ``weight`` says of labels how much their mean loss weighs.
    """
    if share.of == 1:
        return loss

    def weighed(outputs: Any, labels: Tensor) -> Tensor:
        value = loss(outputs, labels)
        own = torch.as_tensor(weight(labels) if part.counts else 0, dtype=torch.float64, device=value.device)
        every = own.clone()
        distributed.all_reduce(every)
        factor = (share.of * own / every).to(value.dtype)
        # the mean over no labels is no number; where no process has any, that is the batch's loss
        return torch.where((own > 0) | (every == 0), value * factor, 0.0)

    return weighed


def distilled(distillation: Distillation | None, share: Share, part: Part) -> Distillation | None:
    """Return the same for this process's part of a batch, beside the loss that `of_part` returns."""
    if distillation is None or share.of == 1:
        return distillation
    return distillation.of_part(share.of * part.weight)


def summed(values: Tensor, share: Share) -> Tensor:
    """Return the sum over the processes of each value."""
    if share.of == 1:
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total


def as_first(tensors: Sequence[Tensor], share: Share) -> None:
    """Give each process the values of process 0, in place."""
    if share.of > 1:
        for tensor in tensors:
            plain = tensor.contiguous()  # numbers are sent as they lie in memory, which another has in order
            distributed.broadcast(plain, 0)
            if plain is not tensor:
                tensor.copy_(plain)
