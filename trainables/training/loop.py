"""Training, the same bits wherever it is run again from the same state."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from trainables import seeds
from trainables.errors import TrainingError
from trainables.metric_names import GRADIENT_NORM, TRAIN_LOSS
from trainables.task.data.data_checks import explain_non_finite_loss
from trainables.task.data.splits import Split
from trainables.task.loss import Loss
from trainables.training import data_parallel
from trainables.training.augment import augment_batch
from trainables.training.changing_masks.changing_mask import ChangingMask
from trainables.training.distillation import Distillation
from trainables.training.learning_compression import QuadraticPenalty
from trainables.training.step_plan import WHOLE, StepPlan
from trainables.training.update import masked_parameters, update

_CHECK_EVERY = 256  # steps between looks at the loss: each look makes a GPU wait
_NORM_EVERY = 32  # steps between measurements of the gradient's norm


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Count the optimiser steps in an epoch.

    A last batch of a single example is left out, as BatchNorm cannot train on one.
    """
    full, rest = divmod(examples, batch_size)
    return full + (rest > 1 or (rest == 1 and full == 0))


def train(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    split: Split,
    loss: Loss,
    step_plan: StepPlan,
    first: int,
    last: int,
    device: torch.device,
    masks: Mapping[str, Tensor] | ChangingMask | None = None,
    reached: Mapping[int, Callable[[], None]] | None = None,
    distillation: Distillation | None = None,
    penalty: QuadraticPenalty | None = None,
) -> dict[str, float]:
    """Train ``network`` in place from step ``first`` to ``last``, both in one epoch.

    Returns ``train/loss``, the mean over the steps, and ``train/grad_norm``, the mean L2 norm of the gradient
    at every 32nd of them. Weights that ``masks`` (parameter name to bool tensor) leaves out must be zero and
    stay so, and so do their momenta: their gradient is set to zero. Masks may change meanwhile (a
    `ChangingMask`). ``reached`` holds what is to be done after certain numbers of steps, ``distillation``
    what another network adds to the loss, ``penalty`` what the weights themselves add. Where the plan gives a
    share of each batch, every other process that has one must be in this very call. Raises `TrainingError`
    naming the step where the loss stopped being finite.
    """
    share = step_plan.share
    losses, norms = torch.zeros(last - first, device=device), []
    changing = masks if isinstance(masks, ChangingMask) else None
    masked = masks.masked if isinstance(masks, ChangingMask) else masked_parameters(network, masks or {})
    network.train()
    forward_through = data_parallel.joined(network, share, device)
    with seeds.own_random_numbers(device):
        for i, (inputs, labels) in enumerate(step_plan.batches(split, first, last, device)):
            step = first + i
            part = step_plan.part(step, len(split))
            if step_plan.training.augment:
                inputs, labels = augment_batch(
                    inputs,
                    labels,
                    step_plan.training.augment,
                    seeds.generator(step_plan.seed, "augment", step),
                    step_plan.ignored,
                    part,
                )
            for group in optimizer.param_groups:
                group["lr"] = step_plan.rate(step)
            # each process draws numbers of its own, for dropout say
            purpose = f"step/{share.index}" if share.index else "step"
            seeds.seed_everything(step_plan.seed, purpose, step, device)
            value, norm = update(
                forward_through,
                optimizer,
                data_parallel.of_part(loss, share, part, step_plan.weight),
                (inputs, labels),
                step_plan.training,
                masked,
                i % _NORM_EVERY == 0,
                data_parallel.distilled(distillation, share, part),
                changing.instead_of_step(step) if changing else None,
                penalty,
            )
            losses[i] = value / share.of
            if changing:
                changing.after(step + 1)
            if norm is not None:
                norms.append(norm)
            if (i + 1) % _CHECK_EVERY == 0:
                _check(data_parallel.summed(losses[: i + 1], share), first, step_plan, split, device)
            if reached and step + 1 in reached:
                reached[step + 1]()
    data_parallel.as_first(list(network.buffers()), share)
    losses = data_parallel.summed(losses, share)
    _check(losses, first, step_plan, split, device)
    return {
        TRAIN_LOSS: losses.double().mean().item(),
        GRADIENT_NORM: torch.stack(norms).double().mean().item(),
    }


def _check(losses: Tensor, first: int, step_plan: StepPlan, split: Split, device: torch.device) -> None:
    """Raise `TrainingError` at the first loss that is not finite."""
    if not math.isfinite(losses.sum().item()):
        bad = int((~losses.isfinite()).nonzero()[0]) if not losses.isfinite().all() else len(losses) - 1
        epoch = (first + bad) // step_plan.steps_per_epoch
        whole = replace(step_plan, share=WHOLE)
        inputs, _ = next(whole.batches(split, first + bad, first + bad + 1, device))
        raise TrainingError(
            f"the loss became {losses[bad].item()} at step {first + bad} (epoch {epoch}); "
            f"{explain_non_finite_loss([inputs], 'its batch')}."
        )
