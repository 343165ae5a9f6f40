"""Trials whose masks are allocated and refitted by calibration images."""

import math
from dataclasses import replace
from pathlib import Path

import torch

import pruners
import trainables
from tests.trainables.configs import TASK, TRAINING, same_bits, trial, weights
from trainables.config import CompressionConfig, TrialConfig
from trainables.execution.network import load
from trainables.metric_names import DENSITY, DIVERGENCE
from trainables.results.trial_paths import network_folder

ASKED = {"allocation": "measured", "refit": "sequential"}


def masked(root: Path, key: str = "0", retrain: int = 0, **options: object) -> TrialConfig:
    compression = CompressionConfig(
        "magnitude",
        dict(options),
        recalibrate_bn=128,
        retrain_epochs=retrain,
        calibration_images=128,
    )
    return trial(
        root,
        key,
        training=replace(TRAINING, epochs=2),
        compression=compression,
        keep_ratio=0.2,
        divergence_images=96,
    )


def test_outputs_are_closer_to_dense_and_removed_weights_stay_removed(tmp_path: Path) -> None:
    plain = trainables.run_trial(masked(tmp_path, "plain"))
    config = masked(tmp_path, "fitted", retrain=1, **ASKED)
    told = trainables.run_trial(config)
    assert told[DIVERGENCE] < plain[DIVERGENCE]  # before retraining
    network = load(network_folder(config, 0), TASK, torch.device("cpu"))
    mask, state = network.artifact, network.module.state_dict()
    assert isinstance(mask, pruners.Mask) and mask.refit is not None and mask.refit.images == 128
    prunable = sum(layer.params for layer in mask.prunable.values())
    assert mask.params == math.ceil(0.2 * prunable) and told[DENSITY] == mask.density
    assert all((state[name][~kept] == 0).all() for name, kept in mask.masks.items())


def test_the_same_bits_wherever_it_runs(tmp_path: Path) -> None:
    first, second = (masked(tmp_path / place, **ASKED) for place in ("one", "two"))
    for config in (first, second):
        trainables.run_trial(config)
    assert same_bits(weights(first), weights(second))
