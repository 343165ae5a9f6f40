"""Training images for other ends than training: those that statistics are taken of, those that judge."""

import math
from typing import Any

import torch

from trainables import seeds
from trainables.execution.trial_setting import TrialSetting

_BATCH = 128


def first_batches(setting: TrialSetting, seed: int, images: int) -> list[tuple[Any, Any]]:
    """Draw ``images`` training images, not augmented, for statistics: batches of inputs and labels."""
    return _batches(setting, _order(setting, seed)[:images])


def last_inputs(setting: TrialSetting, seed: int, images: int) -> list[Any]:
    """Draw ``images`` training images that no statistics are taken of, unless there are too few: batches of
    inputs.
    """
    return [inputs for inputs, _ in _batches(setting, _order(setting, seed)[-images:])]


def _order(setting: TrialSetting, seed: int) -> torch.Tensor:
    return seeds.permutation(len(setting.data.train), seed, epoch=0)


def _batches(setting: TrialSetting, order: torch.Tensor) -> list[tuple[Any, Any]]:
    """Return batches of nearly equal size, so that each counts alike in an average over batches."""
    batches = math.ceil(len(order) / _BATCH)
    return list(setting.data.train.batches(order, math.ceil(len(order) / batches), setting.device))
