"""Configurations to try first: as written, after the method's own answer, once, counted as trials."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sweeps
from sweeps import Sweep, SweepError
from sweeps.search.dry_run import dry_run_text
from sweeps.search.prepare import prepare
from tests.sweeps.commands import Answer
from tests.sweeps.studies import USERS, digits, run
from tests.sweeps.test_conditional_parameters import LR_ADAM, OPTIMIZERS

PARAMETERS = {"training.lr": {"min": 0.01, "max": 0.2}, "training.batch_size": {"values": [64, 128]}}


def test_they_are_tried_first_and_what_they_leave_out_is_drawn(tmp_path: Path) -> None:
    enqueued = [{"training.lr": 0.05, "training.batch_size": 128}, {"training.batch_size": 64}]
    record = run(digits(parameters=PARAMETERS, enqueue=enqueued, run_cap=3), tmp_path)
    assert record.count("complete") == len(record.trials) == 3
    assert record.trials[0].params == enqueued[0]
    assert (
        record.trials[1].params["training.batch_size"] == 64
        and 0.01 <= record.trials[1].params["training.lr"] <= 0.2
    )
    assert record.trials[1].params["training.lr"] not in (0.01, 0.05, 0.2)


def test_the_methods_own_answer_comes_before_them(tmp_path: Path) -> None:
    data = digits(per_layer={"tolerance": {"min": 0.5, "max": 2}}, run_cap=2)
    names = list(prepare(Sweep.from_data(data)).space.distributions)
    record = run({**data, "enqueue": [{names[0]: 1.5, names[1]: 0.75}]}, tmp_path)
    assert set(record.trials[0].params.values()) == {1.0}
    assert [record.trials[1].params[name] for name in names[:2]] == [1.5, 0.75]


def test_a_study_that_goes_on_tries_what_was_added_and_nothing_twice(tmp_path: Path) -> None:
    first = [{"training.lr": 0.05}, {"training.lr": 0.05}]
    run(digits(parameters=PARAMETERS, enqueue=first, run_cap=2), tmp_path)
    record = run(digits(parameters=PARAMETERS, enqueue=first, run_cap=3), tmp_path)
    assert [t.params["training.lr"] == 0.05 for t in record.trials] == [True, True, False]
    record = run(digits(parameters=PARAMETERS, enqueue=[{"training.lr": 0.02}, *first], run_cap=4), tmp_path)
    assert len(record.trials) == 4 and record.trials[3].params["training.lr"] == 0.02


def test_what_was_added_waits_where_the_study_has_all_its_trials(tmp_path: Path) -> None:
    run(digits(parameters=PARAMETERS, run_cap=2), tmp_path)
    added = digits(parameters=PARAMETERS, run_cap=2, enqueue=[{"training.lr": 0.02}])
    assert run(added, tmp_path).count("complete") == 2
    record = run({**added, "run_cap": 3}, tmp_path)
    assert record.count("complete") == 3 and record.trials[2].params["training.lr"] == 0.02


def test_drivers_stopped_between_them_lose_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enqueued = [{"training.lr": lr} for lr in (0.02, 0.04, 0.08)]
    task = {"network": "lenet_300_100", "data": "digits", "loss": f"{USERS}:interrupted_when_asked"}
    data = digits(task=task, parameters=PARAMETERS, enqueue=enqueued, run_cap=4)
    flag = tmp_path / "flag"
    monkeypatch.setenv("INTERRUPT", str(flag))
    for _ in range(3):
        flag.touch()
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "study")
    record = run(data, tmp_path / "study")
    assert [t.outcome for t in record.trials] == ["complete"] * 4
    assert [t.params["training.lr"] for t in record.trials][:3] == [0.02, 0.04, 0.08]


def test_a_value_of_a_parameter_under_a_value_is_named_by_its_key(tmp_path: Path) -> None:
    enqueued: list[dict[str, Any]] = [
        {"training.optimizer": "adam", "training.lr": 0.003, "training.augment": ["flip"]},
        {"training.optimizer": "adamw"},
    ]
    parameters = {"training.optimizer": OPTIMIZERS, "training.augment": {"values": [[], ["flip"]]}}
    record = run(digits(parameters=parameters, enqueue=enqueued, run_cap=2), tmp_path)
    assert record.trials[0].params == {
        "training.optimizer": "adam",
        LR_ADAM: 0.003,
        "training.augment": '["flip"]',
    }
    assert record.trials[1].params.keys() == {"training.optimizer", "training.augment"}


def test_a_dry_run_counts_them() -> None:
    enqueued = [{"training.epochs": 9}, {"training.epochs": 8}]
    data = digits(parameters={"training.epochs": {"min": 1, "max": 9}}, run_cap=2, enqueue=enqueued)
    told = dry_run_text(prepare(Sweep.from_data(data)))
    assert "enqueued: 2 of these trials, tried first" in told
    assert "17 with nothing trained twice" in told


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"training.momentum": 0.5},
            r"training.momentum is a parameter only where training.optimizer is sgd; give that too.",
        ),
        ({"training.optimizer": "adam", "training.weight_decay": 0}, "only where training.optimizer is adam"),
        ({"training.optimizer": "adamw", "training.lr": 0.1}, "only where training.optimizer is sgd"),
        (
            {"training.optimizer": "adam", "training.lr": 0.2},
            "training.lr is drawn from 0.0001 to 0.01, not 0.2.",
        ),
        ({"training.optimizer": "rmsprop"}, "training.optimizer is one of sgd, adam, adamw, not 'rmsprop'."),
    ],
)
def test_a_configuration_that_no_draw_can_give_is_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(SweepError) as refused:
        prepare(Sweep.from_data(digits(parameters={"training.optimizer": OPTIMIZERS}, enqueue=[entry])))
    assert said in str(refused.value) and refused.value.exit_code == 2


def test_the_command_shows_what_waits(tombola: Callable[..., Answer], tmp_path: Path) -> None:
    run(digits(parameters=PARAMETERS, run_cap=1), tmp_path / "s")
    run(digits(parameters=PARAMETERS, run_cap=1, enqueue=[{"training.lr": 0.02}]), tmp_path / "s")
    assert "running: 1" in tombola("status", str(tmp_path / "s")).stdout
    assert sweeps.load_record(tmp_path / "s").trials[-1].outcome == "waiting"
