"""How far a compressed network's outputs are from the dense one's, as a trial tells it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import trainables
from tests.trainables.configs import TRAINING, trial
from trainables import seeds
from trainables.config import CompressionConfig
from trainables.execution.identity import stage_identity
from trainables.execution.run import Run
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import DIVERGENCE, NETWORK
from trainables.recipes import RECIPES
from trainables.stages import Compress
from trainables.trials.screening import screened

IMAGES = 96


def short(root: Path, key: str = "0", **changes: object) -> trainables.TrialConfig:
    return trial(
        root, key, training=replace(TRAINING, epochs=1), divergence_images=IMAGES, retrain=0, **changes
    )


def by_hand(config: trainables.TrialConfig) -> float:
    """The mean KL divergence of the softmax outputs in numpy, on the images that an epoch would see last."""
    setting = TrialSetting.of(config)
    recipe = RECIPES["compress"].stages(config, setting.steps_per_epoch)
    dense, small = (Run(setting, recipe[:count], 0).finish().module for count in (1, len(recipe)))
    order = seeds.permutation(len(setting.data.train), 0, 0)[-IMAGES:]
    ((inputs, _),) = setting.data.train.batches(order, IMAGES, setting.device)
    with torch.no_grad():
        p, q = (torch.softmax(module(inputs).double(), 1).numpy() for module in (dense, small))
    return float((p * np.log(p / q)).sum(1).mean())


def test_it_is_the_divergence_before_retraining(tmp_path: Path) -> None:
    config = short(tmp_path)
    told = trainables.run_trial(config)[DIVERGENCE]
    assert told == pytest.approx(by_hand(config), rel=1e-6) and told > 0
    compression = replace(config.compression, retrain_epochs=1)
    retrained = replace(config, key="1", directory=str(tmp_path / "trials" / "1"), compression=compression)
    assert trainables.run_trial(retrained)[DIVERGENCE] == told
    # what the store holds goes on after the compression
    again = replace(retrained, directory=str(tmp_path / "trials" / "2"))
    assert trainables.run_trial(again)[DIVERGENCE] == told


def test_a_screened_trial_tells_what_the_trial_will(tmp_path: Path) -> None:
    config = short(tmp_path)
    found = screened(config)
    assert not Path(config.directory).exists()
    told = trainables.run_trial(config)
    assert found[DIVERGENCE] == told[DIVERGENCE]
    few = TrialSetting.of(config).data.validation
    assert 0 < found["val/accuracy"] <= 1 and len(few) > IMAGES
    other = replace(config, budget=replace(config.budget, keep_ratio=0.4))
    assert screened(other)[NETWORK] != found[NETWORK] == screened(config)[NETWORK]


def test_it_is_told_of_compressing_a_trained_network_only(tmp_path: Path) -> None:
    compression = CompressionConfig("magnitude")
    config = replace(short(tmp_path), trainable="prune_at_init", compression=compression)
    assert DIVERGENCE not in trainables.run_trial(config)


def test_without_calibration_images_an_address_stays_what_it_was() -> None:
    compress = Compress("alds", trainables.config.BudgetConfig(keep_ratio=0.5))
    assert "calibration_images" not in stage_identity(compress)
    assert stage_identity(replace(compress, calibration_images=8))["calibration_images"] == 8
