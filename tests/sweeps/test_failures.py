"""Trials that fail alike stop the study, and a trial whose worker died is tried again, later each time."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError

import sweeps
from sweeps import Sweep
from sweeps.running import retries
from sweeps.running.conductor import Conductor
from sweeps.search import samplers
from sweeps.search.prepare import prepare
from sweeps.study.ledger import CRASHES, MEMORY, Ledger
from sweeps.study.paths import StudyPaths
from tests.sweeps.commands import Answer
from tests.sweeps.studies import USERS, digits

Tombola = Callable[..., Answer]
BROKEN = {"network": f"{USERS}:broken_while_told", "data": "digits"}


def test_first_trials_that_fail_alike_stop_the_study_and_it_goes_on_once_mended(
    tombola: Tombola, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"training.lr": {"min": 0.01, "max": 0.1}}
    Path("s.yaml").write_text(
        json.dumps(
            digits(name="broken", task=BROKEN, parameters=parameters, run_cap=5, stop_after_failures=2)
        )
    )
    monkeypatch.setenv("BROKEN", "a part is missing")
    answer = tombola("run", "s.yaml", "--in-process", "--out", "study")
    assert answer.exit_code == 4
    assert answer.stderr == (
        "tombola: the first 2 trials all failed with the same reason: RuntimeError: a part is missing. "
        "Mend it and go on with the study, or raise stop_after_failures.\n"
    )
    assert sweeps.load_record(Path("study")).count("failed") == 2
    monkeypatch.delenv("BROKEN")
    assert tombola("resume", "study", "--in-process").exit_code == 0
    record = sweeps.load_record(Path("study"))
    assert (record.count("failed"), record.count("complete")) == (2, 3)


def test_trials_that_fail_for_several_reasons_do_not_stop_the_study(
    tombola: Tombola, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"task.network_options.which": {"values": ["left", "right", "last"]}}
    Path("s.yaml").write_text(
        json.dumps(
            digits(task=BROKEN, parameters=parameters, method="grid", run_cap=3, stop_after_failures=2)
        )
    )
    monkeypatch.setenv("BROKEN", "a part is missing")
    answer = tombola("run", "s.yaml", "--in-process", "--out", "study")
    assert (answer.exit_code, answer.stderr) == (
        4,
        "",
    ) and "0 of 3 trials complete, 3 failed." in answer.stdout


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    prepared = prepare(Sweep.from_data(digits(parameters={"training.lr": {"min": 0.01, "max": 0.1}})))
    draw = partial(samplers.build, "random", {}, prepared.space, 0)
    return Ledger(optuna.create_study(), prepared.space, draw, prepared.violation, lambda _: None)


@pytest.mark.parametrize("out_of_memory", [False, True])
def test_a_trial_is_put_back_as_often_as_its_cause_of_death_allows(
    ledger: Ledger, out_of_memory: bool
) -> None:
    most = CRASHES[MEMORY if out_of_memory else True]
    drawn = ledger.ask()
    for death in range(1, most + 1):
        assert ledger.crashed(0, out_of_memory) == death
        assert ledger.ask() == drawn, "the same trial is handed out again"
    assert ledger.crashed(0, out_of_memory) == 0
    assert ledger.crashed(0, not out_of_memory) == 1, "deaths of another cause are counted apart"


def test_after_a_death_nothing_is_handed_out_for_a_while(ledger: Ledger, tmp_path: Path) -> None:
    prepared = prepare(Sweep.from_data(digits(parameters={"training.lr": {"min": 0.01, "max": 0.1}})))
    conductor = Conductor(prepared, ledger, StudyPaths(tmp_path), 2, [])
    first = conductor.next()
    assert first and conductor.pause == 0
    conductor.crashed(first.key, out_of_memory=True)
    assert 9 < conductor.pause <= 10
    assert conductor.next() is None and not conductor.done


def test_pauses_grow_and_end() -> None:
    assert [retries.pause(n, False) for n in (1, 2, 3)] == [1, 2, 4]
    assert [retries.pause(n, True) for n in (1, 2, 3, 6)] == [10, 20, 40, 300]
    assert "out of memory" in retries.reason(True)


def test_what_ray_says_of_its_memory_monitor_is_told_from_other_deaths() -> None:
    assert retries.of_memory(
        str(
            OutOfMemoryError("Task was killed due to the node running low on memory.\nMemory on the node ...")
        )
    )
    assert not retries.of_memory(str(ActorDiedError()))
    assert not retries.of_memory(
        "Worker unexpectedly exits with a connection error code 2. End of file. "
        "There are some potential root causes. "
        "(1) The process is killed by SIGKILL by OOM killer due to high memory usage. "
        "(2) ray stop --force is called."
    )
