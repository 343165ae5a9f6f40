"""Trials whose network is made int8 at the end."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import trainables
from tests.trainables.configs import comparable, trial
from trainables.config import CompressionConfig, TaskConfig, TrialConfig
from trainables.errors import Refused
from trainables.execution.network import INT8, load
from trainables.execution.rehearsal import rehearse
from trainables.execution.trial_setting import TrialSetting
from trainables.recipes import RECIPES
from trainables.results.read_test import read_test
from trainables.results.result import TrialResult, result_of
from trainables.results.trial_paths import network_folder
from trainables.stages import Compress


def int8(root: Path, key: str, int8: Any = "static", retrain: int = 2, **changes: Any) -> TrialConfig:
    compression = CompressionConfig(
        "ft", recalibrate_bn=128, retrain_epochs=retrain, calibration_images=64, int8=int8
    )
    return trial(root, key, compression=compression, **changes)


def finished(config: TrialConfig) -> TrialResult:
    trainables.run_trial(config)
    result = result_of(config)
    assert result
    return result


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("int8")


@pytest.mark.parametrize(("activations", "retrain"), [("static", 2), ("static", 0), ("dynamic", 2)])
def test_a_trial_s_figures_are_those_of_int8(root: Path, activations: str, retrain: int) -> None:
    float_result = finished(int8(root, f"float{retrain}", "none", retrain))
    config = int8(root, f"{activations}{retrain}", activations, retrain)
    result = finished(config)
    metrics, before = result.metrics, float_result.metrics
    setting = TrialSetting.of(config)
    exported = load(network_folder(config, 0), config.task, torch.device("cpu"))
    assert exported.int8 and exported.int8.activations == activations
    measured = setting.evaluate(exported.int8, setting.data.validation, "val")
    assert {name: metrics[name] for name in measured} == pytest.approx(measured)
    for name in measured:  # the float network's stay beside them, and its history
        assert metrics[f"float/{name}"] == before[name]
    assert [epoch["val/loss"] for epoch in result.history] == [e["val/loss"] for e in float_result.history]
    file = network_folder(config, 0) / INT8
    assert metrics["compress/bytes"] == pytest.approx(file.stat().st_size, abs=64)
    assert metrics["compress/bytes_kept"] == metrics["compress/bytes"] / result.dense["bytes"]
    assert metrics["compress/bytes"] < before["compress/bytes"]
    assert metrics["compress/latency_ms"] > 0 and 0 < metrics["compress/int8_divergence"] < 0.05
    assert metrics["compress/params"] == before["compress/params"]
    tested = setting.evaluate(exported.int8, setting.data.test, "test")
    assert {name: read_test(config, "trial")[name] for name in tested} == pytest.approx(tested)


def test_int8_trials_give_the_same_numbers_twice(root: Path, tmp_path: Path) -> None:
    one = finished(int8(root, "static2"))
    other = finished(int8(tmp_path, "static2"))
    assert comparable(one.metrics) == comparable(other.metrics)


def test_sizes_are_those_of_the_files(root: Path) -> None:
    config = int8(root, "float2", "none")
    result = finished(config)
    folder = network_folder(config, 0)
    assert result.metrics["compress/bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    weights = 4 * result.dense["params"]
    assert weights < result.dense["bytes"] < weights + 4000


def test_what_cannot_be_int8_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    config = int8(tmp_path, "0", task=TaskConfig("tests.trainables.users:undecided_network", "digits"))
    setting, budget = TrialSetting.of(config), config.budget
    recipe = RECIPES["compress"].stages(config, setting.steps_per_epoch)
    with pytest.raises(
        Refused, match=r"^compression\.int8: .*torch\.export does not follow it \("
    ) as refused:
        rehearse(setting, Compress("svd", budget, {"refit": "none"}), recipe, "static")
    assert refused.value.key == ("compression", "int8")
    rehearse(setting, Compress("svd", budget, {"refit": "none"}), recipe)
    svd = replace(config.compression, method="svd", options={"refit": "none"})
    failed = trainables.run_trial(replace(config, compression=svd))
    assert failed["failed"].startswith("compression.int8: The network cannot be made int8")
