"""``tombola init``: a first sweep file, of its own and from one of W&B's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeps.commands.first_sweep.compose import as_text, name_of, training_for
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


REAL = """
program: train.py
command: ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]
description: what the first table needs
project: null
method: bayes
metric: {name: test/accuracy, target: 0.99}
early_terminate: {type: hyperband, s: 3, max_iter: 81, strict: true}
parameters:
  batch-size: {distribution: q_log_uniform_values, q: 8, min: 32, max: 256}
  optimizer:
    parameters:
      name: {value: sgd}
      lr: {distribution: inv_log_uniform_values, min: 0.001, max: 0.1}
      momentum: {values: [0.5, 0.9]}
  weight_decay: {distribution: inv_log_uniform, min: 4, max: 9}
  label_smoothing: {distribution: normal, mu: 0.1, sigma: 0.02}
  wd: {values: [0, 0.1]}
"""


def test_what_real_sweeps_hold_is_understood_or_named(tombola: Tombola) -> None:
    Path("w.yaml").write_text(REAL)
    words = ("--network", "lenet_300_100", "--data", "digits", "--from-wandb", "w.yaml")
    answer = tombola("init", "ours.yaml", *words)
    assert (answer.exit_code, answer.stderr) == (0, "")
    written = yaml.safe_load(Path("ours.yaml").read_text())
    assert written["description"] == "what the first table needs" and written["project"] == "tombola"
    assert written["parameters"] == {
        # Optuna draws whole numbers from a logarithmic range, not multiples of 8
        "training.batch_size": {"distribution": "q_log_uniform_values", "min": 32, "max": 256},
        "training.optimizer": {"value": "sgd"},
        "training.lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "training.momentum": {"values": [0.5, 0.9]},
        # 1 / x lies between e^4 and e^9
        "training.weight_decay": {"distribution": "log_uniform", "min": -9, "max": -4},
    }
    assert written["early_terminate"] == {"type": "hyperband", "max_iter": 81, "min_iter": 3}
    assert written["compression"]["retrain_epochs"] == 81
    for left in (
        "early_terminate.strict",
        "metric.name test/accuracy",
        "metric.target",
        "parameters.batch-size.q",
        "parameters.label_smoothing",
        "parameters.wd",
    ):
        assert f"Left out of w.yaml: {left}: " in answer.stdout
    assert tombola("validate", "ours.yaml").exit_code == 0


OF_THE_DOCS = """
program: train.py
method: random
metric: {name: loss, goal: minimize}
parameters:
  optimizer: {values: [adam, sgd]}
  fc_layer_size: {values: [128, 256, 512]}
  dropout: {values: [0.3, 0.4, 0.5]}
  epochs: {value: 1}
  learning_rate: {distribution: uniform, min: 0, max: 0.1}
  batch_size: {distribution: q_log_uniform_values, q: 8, min: 32, max: 256}
"""


def test_the_example_of_wandbs_docs(tombola: Tombola) -> None:
    Path("w.yaml").write_text(OF_THE_DOCS)
    words = ("--network", "lenet_300_100", "--data", "digits", "--from-wandb", "w.yaml")
    answer = tombola("init", "ours.yaml", *words)
    assert (answer.exit_code, answer.stderr) == (0, "")
    written = yaml.safe_load(Path("ours.yaml").read_text())
    assert written["metric"] == {"name": "val/loss", "goal": "minimize"}
    assert written["parameters"]["training.lr"] == {"distribution": "uniform", "min": 0.0001, "max": 0.1}
    assert "Left out of w.yaml: parameters.learning_rate.min: a learning rate is above 0" in answer.stdout


def test_a_grid_has_all_its_points() -> None:
    parameters = {"lr": {"values": [0.1, 0.01, 0.001]}, "epochs": {"min": 2, "max": 5}}
    given = {"method": "grid", "parameters": parameters}
    assert from_wandb(given, {**BASE, "run_cap": 8})[0]["run_cap"] == 12
    assert from_wandb({**given, "run_cap": 3}, {**BASE, "run_cap": 8})[0]["run_cap"] == 3


@pytest.mark.parametrize("parameters", [{"dropout": {"values": [0.1, 0.5]}}, {"epochs": {"value": 5}}, {}])
def test_where_nothing_is_left_to_search_the_layers_are(parameters: dict[str, Any]) -> None:
    sweep, _ = from_wandb({"method": "grid", "run_cap": 100, "parameters": parameters}, BASE)
    assert (sweep["method"], sweep["per_layer"]) == ("cmaes", BASE["per_layer"])
    assert sweep["screen"] == {"trials": 100} and sweep["run_cap"] == 100


@pytest.mark.parametrize(
    ("early", "expected", "epochs"),
    [
        ({"type": "hyperband", "min_iter": 3}, {"type": "hyperband", "min_iter": 3}, 9),
        ({"type": "hyperband", "min_iter": 10}, {"type": "hyperband", "min_iter": 10}, 30),
        ({"type": "hyperband", "min_iter": 2, "max_iter": 5}, None, 5),
        # of steps, not of epochs; and nothing that could be stopped
        ({"type": "hyperband", "min_iter": 1000}, {}, 0),
        ({"type": "hyperband", "max_iter": 27, "s": 0}, {}, 0),
        ({"type": "hyperband", "max_iter": 27, "eta": 0}, None, 27),
        ("hyperband", {}, 0),
    ],
)
def test_trials_are_stopped_within_their_epochs(early: Any, expected: Any, epochs: int) -> None:
    sweep, left_out = from_wandb({"early_terminate": early}, BASE)
    assert sweep["compression"].get("retrain_epochs", 0) == epochs
    if expected is not None:
        assert sweep.get("early_terminate", {}) == expected
    assert bool(left_out) == (not epochs or "s" in early)


def test_optimizers_by_other_names() -> None:
    parameters = {"optimizer": {"values": ["SGD", "adam", "rmsprop", "mine:Optimizer"]}}
    sweep, _ = from_wandb({"method": "random", "parameters": parameters}, BASE)
    names = ["sgd", "adam", "torch.optim.RMSprop", "mine:Optimizer"]
    assert sweep["parameters"] == {"training.optimizer": {"values": names}}


def test_momentum_is_searched_of_an_optimizer_that_has_one() -> None:
    base = {**BASE, "training": {"epochs": 3, "lr": 0.001, "optimizer": "adam"}}
    sweep, _ = from_wandb({"method": "random", "parameters": {"momentum": {"values": [0.5, 0.9]}}}, base)
    assert sweep["training"] == {"epochs": 3}


def test_a_name_and_a_note_cannot_break_the_file() -> None:
    assert name_of("_my sweep_") == "my-sweep" and name_of("...") == "first"
    text = as_text({"name": "one"}, ["Left out of w.yaml: parameters.a\nname: two: no setting"])
    assert yaml.safe_load(text) == {"name": "one"}


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


def test_a_folder_that_is_not_there_is_said_at_once(tombola: Tombola) -> None:
    answer = tombola("init", "away/first.yaml", "--network", "lenet_300_100", "--data", "digits")
    assert answer.exit_code == 2 and "away is no folder that first.yaml could be written in." in answer.stderr
