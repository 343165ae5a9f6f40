"""Trials that fail alike stop the study, and a trial whose worker died is tried again, later each time."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, OutOfMemoryError

import sweeps
from sweeps import Sweep
from sweeps.running import retries
from sweeps.running.conductor import Conductor
from sweeps.search import samplers
from sweeps.search.prepare import prepare
from sweeps.study.ledger import Ledger
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.death import OUTLIVED, Death
from tests.sweeps.commands import Answer
from tests.sweeps.studies import USERS, digits, run

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


def test_in_this_process_it_is_said_why_a_trial_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LOST", str(tmp_path / "lost"))
    task = {"network": f"{USERS}:network", "data": "digits", "loss": f"{USERS}:lost_once"}
    parameters = {"training.lr": {"min": 0.01, "max": 0.1}}
    record = run(digits(task=task, parameters=parameters, run_cap=1), tmp_path / "study")
    assert (record.count("complete"), record.count("failed")) == (1, 0)
    assert "was cut short: process 2 of the 2" in caplog.text and "(no such library)" in caplog.text


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    prepared = prepare(Sweep.from_data(digits(parameters={"training.lr": {"min": 0.01, "max": 0.1}})))
    draw = partial(samplers.build, "random", {}, prepared.space, 0)
    return Ledger(optuna.create_study(), prepared.space, draw, prepared.violation, lambda _: None)


@pytest.mark.parametrize("death", ["crashed", "out_of_memory", "unreachable"])
def test_a_trial_is_put_back_as_often_as_its_kind_of_death_allows(ledger: Ledger, death: Death) -> None:
    drawn = ledger.ask()
    for number in range(1, int(OUTLIVED[death]) + 1):
        assert ledger.died(0, death) == number
        assert ledger.ask() == drawn, "the same trial is handed out again"
    assert ledger.died(0, death) == 0
    assert ledger.died(0, "preempted") == 1, "deaths of another kind are counted apart"


def test_a_node_that_is_taken_back_uses_up_no_trial(ledger: Ledger) -> None:
    drawn = ledger.ask()
    for number in range(1, 51):
        assert ledger.died(0, "preempted") == number
        assert ledger.ask() == drawn
    assert ledger.died(0, "crashed") == 1


def test_after_a_death_nothing_is_handed_out_for_a_while(ledger: Ledger, tmp_path: Path) -> None:
    prepared = prepare(Sweep.from_data(digits(parameters={"training.lr": {"min": 0.01, "max": 0.1}})))
    conductor = Conductor(prepared, ledger, StudyPaths(tmp_path), 2, [])
    first = conductor.next()
    assert first and conductor.pause == 0
    conductor.died(first.key, "out_of_memory")
    assert 9 < conductor.pause <= 10
    assert conductor.next() is None and not conductor.done


def test_pauses_grow_and_end() -> None:
    assert [retries.pause(n, "crashed") for n in (1, 2, 3)] == [1, 2, 4]
    assert [retries.pause(n, "out_of_memory") for n in (1, 2, 3, 6)] == [10, 20, 40, 300]
    assert [retries.pause(n, "preempted") for n in (1, 4, 50)] == [1, 8, 8]
    assert [retries.pause(n, "unreachable") for n in (1, 4, 12)] == [1, 8, 30]
    assert "out of memory" in retries.reason("out_of_memory")
    assert "died 4 times" in retries.reason("crashed") and "lost 13 times" in retries.reason("unreachable")


RAY = "The actor died unexpectedly before finishing this task.\n\tip: 127.0.0.3\n"
SAID: dict[str, Death] = {
    str(OutOfMemoryError("Task was killed due to the node running low on memory.\nMemory on ...")): (
        "out_of_memory"
    ),
    str(ActorDiedError()): "crashed",
    "Worker unexpectedly exits with a connection error code 2. End of file. "
    "There are some potential root causes. "
    "(1) The process is killed by SIGKILL by OOM killer due to high memory usage. "
    "(2) ray stop --force is called.": "crashed",
    f"{RAY}The actor died because its node has died. Node Id: 12\n"
    "\tthe actor's node was preempted: drained": "preempted",
    f"{RAY}The actor died because its node has died. Node Id: 12\n"
    "\tthe actor's node was terminated expectedly: received SIGTERM": "preempted",
    f"{RAY}The actor died because its node has died. Node Id: 12\n"
    "\tthe actor's node was terminated unexpectedly: health check failed due to missing too many "
    "heartbeats": "unreachable",
    str(ActorUnavailableError("The actor is temporarily unavailable: RpcError: Socket closed", b"12" * 8)): (
        "unreachable"
    ),
}
"""What Ray 2.60 says, its own words for deaths of nodes."""


@pytest.mark.parametrize(("said", "kind"), SAID.items())
def test_deaths_are_told_apart_by_what_ray_says(said: str, kind: Death) -> None:
    assert retries.kind_of(said) == kind
