"""Trials whose sparse network's mask moves: RigL and SET as they are run, kept and gone on with."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pruners
import trainables
from tests.trainables.configs import TASK, TRAINING, comparable, same_bits, trial, weights
from trainables.config import BudgetConfig, CompressionConfig, DynamicSparseConfig, TrialConfig
from trainables.metric_names import DENSITY
from trainables.recipes import RECIPES
from trainables.stages import Compress, DropAndGrow, Train

WEIGHTS = sum(layer.params for layer in pruners.prunable(trainables.build_network(TASK)).values())
stages = RECIPES["dynamic_sparse"].stages


def moving(root: Path, key: str = "0", grow: Any = "gradient", **changes: Any) -> TrialConfig:
    """A trial of three epochs that keeps a fifth of the weights and moves its mask every five steps."""
    given: dict[str, Any] = {
        "trainable": "dynamic_sparse",
        "compression": CompressionConfig("random", {"allocation": "erk"}),
        "dynamic_sparse": DynamicSparseConfig(grow, every="5it"),
        "keep_ratio": 0.2,
        "dense_reference": False,
    }
    return trial(root, key, **given | changes)


def test_the_stages(tmp_path: Path) -> None:
    compress = Compress("random", BudgetConfig(keep_ratio=0.2), {"allocation": "erk"})
    train = Train(0, 30, 30, changing=DropAndGrow("gradient", 0.3, 5, 22))
    assert stages(moving(tmp_path), 10) == (compress, train)


@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_a_layers_count_is_that_of_the_first_mask_and_the_mask_another(tmp_path: Path, grow: str) -> None:
    config = moving(tmp_path, grow=grow)
    told = trainables.run_trial(config)
    mask = pruners.load(trainables.network_folder(config, 0))
    network = trainables.build_network(TASK, seed=0)
    first = pruners.compress(network, "random", keep_ratio=0.2, allocation="erk", seed=0)
    assert isinstance(mask, pruners.Mask) and mask.layers == first.layers
    assert mask.params == math.ceil(0.2 * WEIGHTS) and told[DENSITY] == mask.density
    assert 0.05 < pruners.mask_distance(mask, first) < 0.3
    assert mask.options["dynamic_sparse"] == {"grow": grow, "moved_at": 35}  # 0.75 of 51 steps are 38
    state = weights(config)
    assert all(not state[name][~kept].any() for name, kept in mask.masks.items())
    assert told["val/accuracy"] > 0.6
    assert trainables.run_trial(moving(tmp_path, "again", grow=grow))["epochs_trained"] == 0


@pytest.mark.parametrize("grow", ["gradient", "random"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_it_goes_on_from_a_snapshot_to_the_same_bits(tmp_path: Path, optimizer: str, grow: str) -> None:
    training = replace(TRAINING, optimizer=optimizer, lr=0.01)
    whole = moving(tmp_path / "whole", grow=grow, training=training)
    stopped = moving(tmp_path, grow=grow, training=training)
    first = trainables.Trial(stopped)
    first.step()
    first.close()
    assert comparable(trainables.run_trial(stopped)) == comparable(trainables.run_trial(whole))
    assert same_bits(weights(stopped), weights(whole))


def test_another_seed_grows_elsewhere(tmp_path: Path) -> None:
    masks = []
    for seed in (0, 1):
        config = moving(tmp_path / f"{seed}", grow="random", seeds=(seed,))
        trainables.run_trial(config)
        masks.append(pruners.load(trainables.network_folder(config, seed)))
    assert pruners.mask_distance(*masks) > 0.2


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no training": ({"training": replace(TRAINING, epochs=0)}, "give training.epochs"),
    "no step": ({"dynamic_sparse": DynamicSparseConfig(every="0it")}, "dynamic_sparse.every 0it is no step"),
    "too far apart": (
        {"dynamic_sparse": DynamicSparseConfig(every="3ep")},
        "dynamic_sparse.every 3ep: no mask would move after the first step, as moving stops after 38 of the",
    ),
    "layers": ({"compression": CompressionConfig("svd")}, "belongs to methods that remove single weights"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path: Path, name: str) -> None:
    changes, said = REFUSED[name]
    assert said in trainables.run_trial(moving(tmp_path, **changes))["failed"]


def test_a_loss_that_breaks_down_is_told_as_ever(tmp_path: Path) -> None:
    told = trainables.run_trial(moving(tmp_path, training=replace(TRAINING, lr=1e30)))
    assert "the loss became" in told["failed"]
