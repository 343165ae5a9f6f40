"""The stages that change a network without training it."""

import copy
import math
from typing import Any

import pruners
from trainables import loss, seeds
from trainables.network import Network
from trainables.setting import Setting
from trainables.stages import Compress, RecalibrateBN

_CALIBRATION_BATCH = 128
_SCORING_IMAGES = 512  # what a method that scores weights on data is given


def compress(network: Network, stage: Compress, setting: Setting, seed: int) -> Network:
    """The compressed copy of ``network``. Raises `pruners.PrunerError` for an unknown method or a budget that cannot be met."""
    arguments: dict[str, Any] = dict(stage.options)
    arguments |= {"budget" if name == "parameters" else name: value for name, value in stage.budget.items()}
    arguments |= {name: value for name in ("tolerance", "layers") if (value := getattr(stage, name))}
    arguments |= _needed(stage, setting, seed)
    artifact = pruners.compress(network.module, stage.method, seed=seed, **arguments)
    return Network(artifact.apply(network.module), artifact)


def recalibrate(network: Network, stage: RecalibrateBN, setting: Setting, seed: int) -> Network:
    """A copy of ``network`` with BatchNorm's statistics estimated on ``stage.images`` training images, as they are (not augmented)."""
    module = copy.deepcopy(network.module)
    pruners.recalibrate_batchnorm(module, [inputs for inputs, _ in _training_batches(setting, seed, stage.images)])
    return Network(module, network.artifact)


def _needed(stage: Compress, setting: Setting, seed: int) -> dict[str, Any]:
    """What the method, or a budget in multiply-adds, cannot do without."""
    method = pruners.methods().get(stage.method)
    needs = set(method.needs) if method else set()
    needed: dict[str, Any] = {}
    if "example" in needs or "flops_ratio" in stage.budget:
        needed["example"] = setting.example()
    if "data" in needs:
        needed["data"] = _training_batches(setting, seed, _SCORING_IMAGES)
    if "loss" in needs:
        needed["loss"] = loss.resolve(setting.task.loss)
    return needed


def _training_batches(setting: Setting, seed: int, images: int) -> list[tuple[Any, Any]]:
    """Batches of nearly equal size, so that each counts alike in an average over batches."""
    order = seeds.permutation(len(setting.data.train), seed, epoch=0)[:images]
    batches = math.ceil(len(order) / _CALIBRATION_BATCH)
    return list(setting.data.train.batches(order, math.ceil(len(order) / batches), setting.device))
