"""One epoch of a training stage."""

import math
from collections.abc import Callable, Mapping

import torch

import pruners
from trainables.errors import TrainingError
from trainables.execution import changing_masks
from trainables.execution.network import Network
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import VAL_LOSS
from trainables.stages import Train
from trainables.task.data.data_checks import explain_non_finite_loss
from trainables.training.distillation import Distillation
from trainables.training.evaluation import batch_size
from trainables.training.learning_compression import QuadraticPenalty
from trainables.training.loop import train
from trainables.training.step_plan import StepPlan


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
    keep: Mapping[int, Callable[[], None]],
    distillation: Distillation | None,
    penalty: QuadraticPenalty | None,
) -> tuple[Network, dict[str, float]]:
    """Train a network in place from the first of ``steps`` to the second, and evaluate it on validation.

    Return it, whose mask may have changed, and ``step`` at the end, its training loss and validation metrics.
    ``keep`` is called at its steps. Raises `TrainingError` for a validation loss that is not finite.
    """
    first, last = steps
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
    )
    changing = changing_masks.changing_mask(current, optimizer, stage, setting, seed)
    fixed = current.artifact.masks if isinstance(current.artifact, pruners.Mask) else None
    trained = train(
        current.module,
        optimizer,
        setting.data.train,
        setting.training_loss(),
        step_plan,
        first,
        last,
        setting.device,
        changing or fixed,
        keep,
        distillation,
        penalty,
    )
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
    return changing_masks.changed(current, changing), metrics
