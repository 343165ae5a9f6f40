"""One epoch of training, the same bits wherever it is run again from the same state."""

import math

import torch
from torch import Tensor, nn

from trainables import seeds
from trainables.config import TrainingConfig
from trainables.data.augment import augment
from trainables.data.splits import Split
from trainables.errors import TrainingError
from trainables.loss import Loss
from trainables.schedule import factor

_CHECK_EVERY = 256  # steps between looks at the loss: each look makes a GPU wait


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Optimiser steps in an epoch; a last batch of a single example is left out, as BatchNorm cannot train on one."""
    full, rest = divmod(examples, batch_size)
    return full + (rest > 1 or (rest == 1 and full == 0))


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    split: Split,
    loss: Loss,
    training: TrainingConfig,
    seed: int,
    epoch: int,
    horizon: int,
    device: torch.device,
) -> float:
    """Train ``network`` in place on epoch ``epoch`` (from 0) of ``horizon`` and return the mean training loss.

    Order, augmentation and dropout follow from ``seed`` and the step alone. The schedule is read at the middle of each step, so
    that neither the first nor the last has learning rate 0. Raises `TrainingError` naming the step where the loss stopped being finite.
    """
    steps = steps_per_epoch(len(split), training.batch_size)
    order = seeds.permutation(len(split), seed, epoch)[: steps * training.batch_size]
    first = epoch * steps
    losses = torch.zeros(steps, device=device)
    network.train()
    with seeds.own_random_numbers(device):
        seeds.seed_everything(seed, "batches", epoch, device)  # for what a streamed data set draws before the first step
        for i, (inputs, labels) in enumerate(split.batches(order, training.batch_size, device)):
            if training.augment:
                inputs = augment(inputs, training.augment, seeds.generator(seed, "augment", first + i))
            rate = training.lr * factor(training.schedule, epoch + (i + 0.5) / steps, horizon)
            for group in optimizer.param_groups:
                group["lr"] = rate
            seeds.seed_everything(seed, "step", first + i, device)
            value = loss(network(inputs), labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses[i] = value.detach()
            if (i + 1) % _CHECK_EVERY == 0:
                _check(losses[: i + 1], first, epoch)
    _check(losses, first, epoch)
    return losses.double().mean().item()


def _check(losses: Tensor, first: int, epoch: int) -> None:
    """Raise `TrainingError` at the first loss that is not finite."""
    if not math.isfinite(losses.sum().item()):
        bad = int((~losses.isfinite()).nonzero()[0]) if not losses.isfinite().all() else len(losses) - 1
        raise TrainingError(
            f"the loss became {losses[bad].item()} at step {first + bad} (epoch {epoch}); a smaller learning rate may help."
        )
