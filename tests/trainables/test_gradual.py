"""Trials that prune gradually: what they train, share and report, and that they go on to the same bits."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import pruners
import trainables
from tests.trainables.configs import TASK, TRAINING, comparable, same_bits, trial, weights
from trainables.config import BudgetConfig, CompressionConfig, DistillationConfig, GradualConfig, TrialConfig
from trainables.execution import run
from trainables.execution.identity import stage_identity
from trainables.metric_names import DENSITY
from trainables.recipes import RECIPES
from trainables.stages import Compress, Gradual, Train

WEIGHTS = sum(layer.params for layer in pruners.prunable(trainables.build_network(TASK)).values())
PER_EPOCH = 17
stages = RECIPES["gradual"].stages


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    """Every test starts without dense networks in memory."""
    run._kept.clear()


def gradual(root: Path, key: str = "0", retrain: int = 0, **changes: Any) -> TrialConfig:
    """A trial that prunes magnitudes to a fifth within two of its three epochs."""
    compression = CompressionConfig("magnitude", {"allocation": "lamp"}, retrain_epochs=retrain)
    given: dict[str, Any] = {
        "trainable": "gradual",
        "compression": compression,
        "gradual": GradualConfig("2ep", "3it", "5it"),
        "keep_ratio": 0.2,
        "dense_reference": False,
    }
    return trial(root, key, **given | changes)


def test_the_stages(tmp_path: Path) -> None:
    compress = Compress("magnitude", BudgetConfig(keep_ratio=0.2), {"allocation": "lamp"})
    alone = Train(0, 30, 30, changing=Gradual(compress, 3, 20, 5))
    assert stages(gradual(tmp_path), 10) == (alone,)
    after = Train(10, 30, 30, changing=Gradual(compress, 13, 30, 5))
    assert stages(gradual(tmp_path, retrain=2), 10) == (Train(0, 30, 30), after)
    assert "changing" not in stage_identity(Train(0, 30, 30))


def test_the_budget_is_met_and_density_falls_on_the_way(tmp_path: Path) -> None:
    config = gradual(tmp_path)
    one, told = trainables.Trial(config), []
    while not told or not told[-1]["final"]:
        told.append(one.step())
    left = (1 - (13 - 3) / (34 - 3)) ** 3  # the last draw of the first epoch is after 13 steps
    counts = [round(metrics[DENSITY] * WEIGHTS) for metrics in told]
    assert counts == [math.ceil((0.2 + 0.8 * left) * WEIGHTS), *[math.ceil(0.2 * WEIGHTS)] * 2]
    assert told[-1]["val/accuracy"] > 0.7 and told[-1]["epochs_trained"] == 3
    mask = pruners.load(trainables.network_folder(config, 0))
    assert isinstance(mask, pruners.Mask) and mask.params == counts[-1]
    state = weights(config)
    assert all(not state[name][~kept].any() for name, kept in mask.masks.items())
    assert trainables.run_trial(gradual(tmp_path, "again"))["epochs_trained"] == 0


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_it_goes_on_from_a_snapshot_to_the_same_bits(tmp_path: Path, optimizer: str) -> None:
    training = replace(TRAINING, optimizer=optimizer, lr=0.01)
    whole = gradual(tmp_path / "whole", training=training)
    stopped = gradual(tmp_path, training=training)
    first = trainables.Trial(stopped)
    first.step()
    first.close()
    [snapshot] = (tmp_path / "store").rglob("epoch-00001")
    removed, mask = load_file(snapshot / "removed.safetensors"), pruners.load(snapshot)
    assert isinstance(mask, pruners.Mask) and all(
        removed[name].any() and not removed[name][kept].any() for name, kept in mask.masks.items()
    )
    run._kept.clear()
    assert comparable(trainables.run_trial(stopped)) == comparable(trainables.run_trial(whole))
    assert same_bits(weights(stopped), weights(whole))
    [last] = (tmp_path / "store").rglob("epoch-00003")
    assert not (last / "removed.safetensors").exists()


def test_the_dense_network_is_pruned_while_it_is_retrained(tmp_path: Path) -> None:
    dense = trainables.run_trial(trial(tmp_path, "dense", compression=CompressionConfig("svd"), keep_ratio=1))
    distilled = CompressionConfig(
        "synflow", {"rounds": 3}, retrain_epochs=2, distillation=DistillationConfig()
    )
    config = gradual(tmp_path, compression=distilled, gradual=GradualConfig("1ep"), dense_reference=True)
    told = trainables.run_trial(config)
    assert told["epochs_trained"] == 2 and told["dense/val/accuracy"] == dense["dense/val/accuracy"]
    assert round(told[DENSITY] * WEIGHTS) == math.ceil(0.2 * WEIGHTS)
    assert told["step"] == 5 * PER_EPOCH and told["val/accuracy"] > 0.8


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no section": ({"gradual": None}, "needs a gradual section, with its end at least"),
    "too late": ({"gradual": GradualConfig("4ep")}, "gradual.end 4ep lies beyond the training's 51 steps"),
    "no time": ({"gradual": GradualConfig("1ep", "17it")}, "gradual.begin 17it is not before gradual.end"),
    "no step": ({"gradual": GradualConfig("1ep", every="0ep")}, "gradual.every 0ep is no step; give 1it"),
    "no training": ({"training": replace(TRAINING, epochs=0)}, "give training.epochs or compression.retrain"),
    "labels": ({"compression": CompressionConfig("snip")}, "and method snip needs data and loss"),
    "images": (
        {"compression": CompressionConfig("magnitude", {"refit": "layer"})},
        "without data, and these options make use of some",
    ),
    "a budget": ({"keep_ratio": 1e-3, "compression": CompressionConfig("magnitude", {"min_layer_keep": 99})},
        "least possible keep_ratio"),
    "layers": ({"compression": CompressionConfig("svd")}, "Method svd chooses ranks and scores no single"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_before_anything_is_trained(tmp_path: Path, name: str) -> None:
    changes, said = REFUSED[name]
    told = trainables.run_trial(gradual(tmp_path, **changes))
    assert said in told["failed"]
    assert not list((tmp_path / "store").rglob("training_log.jsonl"))
