"""One epoch of a training stage."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, TypeAlias

import torch

import pruners
from trainables.errors import TrainingError
from trainables.execution import changing_masks, epoch_work
from trainables.execution.epoch_work import Beside
from trainables.execution.network import Network, save
from trainables.execution.process_group.group import ProcessGroup
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import VAL_LOSS
from trainables.stages import Train
from trainables.store.disk import disk_full_explained
from trainables.task.data.data_checks import explain_non_finite_loss
from trainables.training.distillation import Distillation
from trainables.training.evaluation import batch_size
from trainables.training.learning_compression import QuadraticPenalty
from trainables.training.loop import train
from trainables.training.step_plan import WHOLE, Share, StepPlan

Fill: TypeAlias = Callable[[Path], Any]
"""Writes a network into a folder."""


def epoch_ends(stage: Train, steps_per_epoch: int) -> list[int]:
    """Return the steps at which the epochs of a training end, the last of which may be cut short by its own
    end.
    """
    first = stage.start // steps_per_epoch * steps_per_epoch + steps_per_epoch
    return [*range(first, stage.stop, steps_per_epoch), stage.stop] if stage.stop > stage.start else []


def trained_epoch(
    current: Network,
    optimizer: torch.optim.Optimizer,
    stage: Train,
    steps: tuple[int, int],
    setting: TrialSetting,
    seed: int,
    keep: Mapping[int, Callable[[Fill], None]],
    beside: Beside,
) -> tuple[Network, dict[str, float]]:
    """Train a network in place from the first of ``steps`` to the second, and evaluate it on validation.

    Return it, whose mask may have changed, and ``step`` at the end, its training loss and validation metrics.
    ``keep`` is called at its steps with what writes the network. Raises `TrainingError` for a validation loss
    that is not finite, and `ProcessLost` where the training is shared and a process of it died.
    """
    first, last = steps
    if setting.group:
        current, trained = _trained_by_group(
            setting.group, current, optimizer, stage, steps, setting, seed, keep, beside
        )
    else:
        reached = {step: partial(put, partial(save, current)) for step, put in keep.items()}
        current, trained = trained_share(current, optimizer, stage, steps, setting, seed, reached, beside)
    metrics = {
        "step": last,
        **trained,
        **setting.evaluate(current.module, setting.data.validation, "val"),
    }
    if not math.isfinite(metrics[VAL_LOSS]):
        held_out = setting.data.validation.in_order(batch_size(setting.device), setting.device)
        why = explain_non_finite_loss((inputs for inputs, _ in held_out), "a validation batch")
        epoch = first // setting.steps_per_epoch
        raise TrainingError(f"the validation loss became {metrics[VAL_LOSS]} after epoch {epoch}; {why}.")
    return current, metrics


def trained_share(
    current: Network,
    optimizer: torch.optim.Optimizer,
    stage: Train,
    steps: tuple[int, int],
    setting: TrialSetting,
    seed: int,
    reached: Mapping[int, Callable[[], None]],
    beside: Beside,
    share: Share = WHOLE,
) -> tuple[Network, dict[str, float]]:
    """Train a network in place from the first of ``steps`` to the second, on a share of each batch.

    Return it, whose mask may have changed, and its training loss. ``reached`` is called at its steps.
    """
    step_plan = StepPlan(
        setting.training,
        seed,
        setting.steps_per_epoch,
        stage.horizon,
        stage.order,
        stage.last_rate,
        setting.data.labels_nothing,
        # a longer step would overshoot what the weights are drawn to
        1 / stage.penalty.weight if stage.penalty else math.inf,
        share,
        setting.loss_weight,
    )
    teacher, aims, penalty = beside.teacher, beside.aims, stage.penalty
    changing = changing_masks.changing_mask(current, optimizer, stage, setting, seed, share)
    fixed = current.artifact.masks if isinstance(current.artifact, pruners.Mask) else None
    trained = train(
        current.module,
        optimizer,
        setting.data.train,
        setting.training_loss(),
        step_plan,
        *steps,
        setting.device,
        changing or fixed,
        reached,
        Distillation(teacher.module, stage.distillation) if teacher and stage.distillation else None,
        QuadraticPenalty(current.module, aims, penalty.weight) if aims is not None and penalty else None,
    )
    return changing_masks.changed(current, changing), trained


def _trained_by_group(
    group: ProcessGroup,
    current: Network,
    optimizer: torch.optim.Optimizer,
    stage: Train,
    steps: tuple[int, int],
    setting: TrialSetting,
    seed: int,
    keep: Mapping[int, Callable[[Fill], None]],
    beside: Beside,
) -> tuple[Network, dict[str, float]]:
    """Have a group of processes train a network, which is then as they left it."""
    first, last = steps
    put = {step: keep[step] for step in sorted(keep) if first < step <= last}
    work = epoch_work.Work(
        stage,
        steps,
        seed,
        setting.task,
        setting.training,
        str(setting.store),
        setting.trainer,
        setting.num_workers,
        torch.get_num_threads(),
        tuple(put),
    )
    if setting.device.type == "cuda":
        torch.cuda.empty_cache()  # the first of them computes on this very GPU
    with disk_full_explained(Path(gettempdir())), TemporaryDirectory(prefix="tombola-") as name:
        folder = Path(name)
        epoch_work.write(folder, work, current, optimizer, beside)
        group.train(folder, setting.device.type)
        for step, kept in put.items():
            kept(partial(epoch_work.copy_kept, folder, step))
        return epoch_work.take_trained(folder, current, optimizer, setting)
