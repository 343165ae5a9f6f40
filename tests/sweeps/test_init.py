"""``tombola init``: a first sweep file, of its own and from one of W&B's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeps.commands.first_sweep.compose import training_for
from sweeps.commands.first_sweep.from_wandb import from_wandb
from tests.sweeps.commands import Answer, assert_short

Tombola = Callable[..., Answer]
WANDB = """
program: train.py
name: my first sweep!
project: vision
method: bayes
metric: {name: Val/Acc, goal: maximize}
early_terminate: {type: hyperband, s: 2, eta: 3, max_iter: 27}
parameters:
  learning_rate: {min: 0.0001, max: 0.1, distribution: log_uniform_values}
  dropout: {values: [0.3, 0.5]}
  epochs: {value: 12}
command: ["${env}", python, "${program}"]
controller: {type: local}
"""
BASE: dict[str, Any] = {
    "name": "base",
    "task": {"network": "resnet20", "data": "digits"},
    "training": {"epochs": 3, "lr": 0.1},
    "compression": {"method": "calibrated"},
    "per_layer": {"scale": {"spread": 0.3}},
    "screen": {"trials": 60},
    "method": "cmaes",
}


def test_the_file_is_sound_and_asks_nothing(tombola: Tombola) -> None:
    answer = tombola(
        "init", "first.yaml", "--network", "lenet_300_100", "--data", "digits", "--keep-ratio", "0.3"
    )
    assert (answer.exit_code, answer.stderr) == (0, "")
    assert "first.yaml is written, and sound." in answer.stdout
    written = yaml.safe_load(Path("first.yaml").read_text())
    assert written["task"] == {"network": "lenet_300_100", "data": "digits"}
    assert written["budget"] == {"keep_ratio": 0.3}
    assert tombola("validate", "first.yaml").exit_code == 0


def test_a_wandb_sweep_keeps_its_search_and_names_the_rest(tombola: Tombola) -> None:
    Path("w.yaml").write_text(WANDB)
    words = ("--network", "lenet_300_100", "--data", "digits", "--from-wandb", "w.yaml")
    answer = tombola("init", "ours.yaml", *words)
    assert (answer.exit_code, answer.stderr) == (0, "")
    written = yaml.safe_load(Path("ours.yaml").read_text())
    assert (written["name"], written["project"], written["method"]) == ("my-first-sweep", "vision", "bayes")
    assert written["metric"] == {"name": "val/accuracy", "goal": "maximize"}
    # brackets at 27 / 3 and 27 / 9, as W&B's agent stops runs
    assert written["early_terminate"] == {"type": "hyperband", "eta": 3, "max_iter": 27, "min_iter": 3}
    assert set(written["parameters"]) == {"training.lr", "training.epochs"}
    assert "per_layer" not in written and "lr" not in written["training"]
    for left in ("program", "command", "controller", "early_terminate.s", "parameters.dropout"):
        assert f"Left out of w.yaml: {left}: " in answer.stdout
        assert f"# Left out of w.yaml: {left}: " in Path("ours.yaml").read_text()
    assert tombola("validate", "ours.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ({"name": "val_loss"}, {"name": "val/loss", "goal": "minimize"}),
        ({"name": "accuracy", "goal": "maximize"}, {"name": "val/accuracy", "goal": "maximize"}),
        ({"name": "bleu", "goal": "maximize"}, {"name": "val/accuracy", "goal": "maximize"}),
    ],
)
def test_metrics_by_other_names(metric: dict[str, str], expected: dict[str, str]) -> None:
    sweep, left_out = from_wandb({"metric": metric}, BASE)
    assert sweep["metric"] == expected
    assert bool(left_out) == (metric["name"] == "bleu")


def test_what_a_base_says_stays_where_the_sweep_says_nothing() -> None:
    sweep, left_out = from_wandb({"method": "random"}, BASE)
    assert (sweep, left_out) == ({**BASE, "method": "random"}, [])


@pytest.mark.parametrize("examples", [1, 30, 1_500, 50_000, 1_281_167])
def test_any_number_of_examples_gives_settings(examples: int) -> None:
    training = training_for(examples)
    assert 3 <= training["epochs"] <= 30 and training["batch_size"] in (32, 64, 128)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--network", "resnet21", "--data", "digits"), "There is no network 'resnet21'; did you mean"),
        (("--network", "lenet_300_100", "--data", "digit"), "There is no data set 'digit'; did you mean"),
        (("--network", "lenet_300_100", "--data", "digits", "--keep-ratio", "1.5"), "budget.keep_ratio"),
        (("--network", "lenet_300_100"), "Missing option '--data'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    tombola: Tombola, words: tuple[str, ...], said: str
) -> None:
    answer = tombola("init", "first.yaml", *words)
    assert answer.exit_code == 2 and said in answer.stderr
    assert_short(answer.stderr)
    assert not Path("first.yaml").exists()


def test_a_file_that_is_there_stays(tombola: Tombola) -> None:
    Path("first.yaml").write_text("mine")
    answer = tombola("init", "first.yaml", "--network", "lenet_300_100", "--data", "digits")
    assert answer.exit_code == 2 and "first.yaml exists already" in answer.stderr
    assert Path("first.yaml").read_text() == "mine"
