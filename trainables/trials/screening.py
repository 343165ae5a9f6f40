"""A trial judged without training: what its compressed network is before it is retrained."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from trainables import seeds
from trainables.config import TrialConfig
from trainables.execution.compression.divergence import divergence
from trainables.execution.run import Run
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import DIVERGENCE, NETWORK
from trainables.recipes import RECIPES
from trainables.stages import Compress, Train
from trainables.task.data.splits import Drawn
from trainables.training.device import reproducible


def screened(config: TrialConfig) -> dict[str, Any]:
    """Compress a trial's dense network for its first seed, and judge it as it is before any retraining.

    A cascade's is compressed at one go.

    Returns `DIVERGENCE` from the dense network on ``divergence_images`` training images, without a label; for
    a look at how much that tells, the task's metrics (``val/<metric>``) on as many validation images; and
    `NETWORK`. The dense network and what was computed of it stay in memory for the next trial. Raises what a
    trial would fail by.
    """
    with reproducible(config.threads):
        setting, seed = TrialSetting.of(config), min(config.seeds)
        at_one_go = replace(config, compression=replace(config.compression, cascade=1))
        stages = RECIPES[config.trainable].stages(at_one_go, setting.steps_per_epoch)
        run = Run(setting, stages, seed)
        trained = next(count for count, stage in enumerate(stages) if isinstance(stage, Compress))
        small = run.up_to(len(stages) - isinstance(stages[-1], Train))
        validation = setting.data.validation
        order = seeds.permutation(len(validation), seed, epoch=0)[: config.divergence_images]
        return {
            DIVERGENCE: divergence(run.up_to(trained), small, setting, seed, config.divergence_images),
            **setting.evaluate(small.module, Drawn(validation, order), "val"),
            NETWORK: _digest(small.module.state_dict()),
        }


def _digest(tensors: Mapping[str, Tensor]) -> str:
    hasher = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        hasher.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()
