"""Studies of real trainings in this process: exact counts however they are stopped, and what failed."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from rich.console import Console

import sweeps
from sweeps import StudyRecord, Sweep
from sweeps.study.paths import StudyPaths
from sweeps.study.provenance import note
from sweeps.study.record import TARGET
from tests.sweeps.commands import Answer, contents
from tests.sweeps.studies import USERS, digits, run

Tombola = Callable[..., Answer]


def test_a_study_stopped_by_hand_goes_on_with_the_same_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = digits(
        task={"network": "lenet_300_100", "data": "digits", "loss": f"{USERS}:interrupted_when_asked"},
        parameters={"training.lr": {"min": 0.05, "max": 0.2}},
        run_cap=4,
    )
    whole = run(data, tmp_path / "whole")
    flag = tmp_path / "flag"
    monkeypatch.setenv("INTERRUPT", str(flag))
    for _ in range(3):
        flag.touch()
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "stopped")
        assert sweeps.load_record(tmp_path / "stopped").count("complete") == 0
    record = run(data, tmp_path / "stopped")
    assert [t.outcome for t in record.trials] == ["complete"] * 4
    assert [(t.params, t.values) for t in record.trials] == [(t.params, t.values) for t in whole.trials]


class _CtrlC(io.StringIO):
    """A terminal at which a person presses Ctrl-C as soon as something appears on it."""

    def write(self, text: str) -> int:
        raise KeyboardInterrupt


def test_a_driver_stopped_after_each_trial_loses_none(tmp_path: Path) -> None:
    data = digits(parameters={"budget.keep_ratio": {"min": 0.1, "max": 0.9}}, budget={}, run_cap=5)
    for done in range(1, 4):
        with pytest.raises(KeyboardInterrupt):
            sweeps.run(Sweep.from_data(data), tmp_path, without_ray=True, console=Console(file=_CtrlC()))
        assert sweeps.load_record(tmp_path).count("complete") == done
    record = run(data, tmp_path)
    assert [t.key for t in record.trials] == ["0", "1", "2", "3", "4"]
    assert record.count("complete") == 5
    assert all(t.metrics["compress/params"] <= t.params["budget.keep_ratio"] * 52600 for t in record.trials)


def test_more_trials_are_added_to_a_finished_study(tmp_path: Path) -> None:
    data = digits(parameters={"budget.keep_ratio": {"min": 0.1, "max": 0.9}}, budget={}, run_cap=2)
    few = run(data, tmp_path)
    tests = json.loads(StudyPaths(tmp_path).test_readings.read_text())
    again = run(data, tmp_path)
    assert json.loads(StudyPaths(tmp_path).test_readings.read_text()) == tests
    more = run({**data, "run_cap": 6}, tmp_path)
    assert (
        [t.values for t in few.trials]
        == [t.values for t in again.trials]
        == [t.values for t in more.trials[:2]]
    )
    assert more.count("complete") == more.target == 6
    later = json.loads(StudyPaths(tmp_path).test_readings.read_text())
    assert {name: later[name] for name in tests} == tests, "what was read once was read again"
    assert set(later) == set(tests) | {more.best.key if more.best else ""}


def test_the_dense_network_is_trained_once_for_all_trials(tmp_path: Path) -> None:
    data = digits(parameters={"budget.keep_ratio": {"min": 0.1, "max": 0.9}}, budget={}, run_cap=4)
    record = run(data, tmp_path)
    assert [t.metrics["epochs_trained"] for t in record.trials] == [1, 0, 0, 0]


def test_a_trial_that_fails_is_recorded_with_its_reason_and_ends_nothing(finished: StudyRecord) -> None:
    assert (finished.count("complete"), finished.count("failed"), finished.target) == (2, 1, 3)
    failed = next(t for t in finished.trials if t.outcome == "failed")
    assert failed.params == {"task.network_options.hidden": 24}
    assert failed.reason == "RuntimeError: 24 is a bad number"
    row = finished.study.trials[int(failed.key)]
    assert row.state == TrialState.FAIL
    assert "Traceback" in (finished.directory / "trials" / failed.key / "error.txt").read_text()


def test_when_most_trials_fail_the_command_says_so_by_its_exit_code(tombola: Tombola) -> None:
    sweep = digits(
        name="nan",
        task={"network": f"{USERS}:diverging", "data": "digits"},
        parameters={"task.network_options.broken": {"values": [True, False]}},
        method="grid",
        baselines=[],
    )
    Path("s.yaml").write_text(json.dumps(sweep))
    half = tombola("run", "s.yaml", "--in-process")
    assert half.exit_code == 0 and "1 of 2 trials complete, 1 failed." in half.stdout
    sweep["parameters"]["task.network_options.broken"]["values"] = [True]
    Path("s.yaml").write_text(json.dumps(sweep))
    most = tombola("run", "s.yaml", "--in-process", "--out", "most")
    assert most.exit_code == 4 and "0 of 1 trials complete, 1 failed." in most.stdout
    record = sweeps.load_record(Path("most"))
    assert record.best is None and (record.trials[0].reason or "").startswith("the loss became nan at step 3")


def test_a_draw_that_misses_its_budget_never_runs(tombola: Tombola, tmp_path: Path) -> None:
    data = digits(
        per_layer={"rank": {}, "num_subspaces": {"values": [1, 2, 4]}}, budget={"keep_ratio": 0.06}, run_cap=3
    )
    record = run(data, tmp_path)
    infeasible = [t for t in record.trials if t.outcome == "infeasible"]
    assert record.count("complete") == 3 and infeasible
    for trial in infeasible:
        assert not StudyPaths(tmp_path).trial(trial.key).exists()
        assert (trial.reason or "").endswith("% over its budget")
        row = record.study.trials[int(trial.key)]
        assert row.state == TrialState.PRUNED and row.constraints and max(row.constraints.values()) > 0
    for trial in record.complete:
        assert trial.metrics["compress/params"] <= 0.06 * 52600
        for name, layer in trial.layers.items():
            if layer["params"] < layer["dense_params"]:
                assert layer["num_subspaces"] == trial.params[f"{name}/num_subspaces"]
                assert layer["rank"] <= trial.params[f"{name}/rank"]
    assert record.own and record.own.key == "baseline-alds", (
        "the method's own answer is run beside such a search"
    )
    assert "go on with" not in tombola("status", str(tmp_path)).stdout
    # as a driver leaves it that is killed when it has just begun
    note(StudyPaths(tmp_path), dict(record.provenance), {TARGET: 3 + len(infeasible)})
    assert "  no driver runs it; go on with: tombola resume " in tombola("status", str(tmp_path)).stdout


@pytest.fixture(scope="module")
def tolerances(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """Two replicates, a tolerance for each layer, and ALDS itself as a baseline to compare with."""
    data = digits(
        training={"epochs": 3, "batch_size": 64, "lr": 0.2},
        per_layer={"tolerance": {"min": 0.5, "max": 2.0}},
        budget={"keep_ratio": 0.4},
        replicates=2,
        baselines=["alds", "svd"],
        run_cap=4,
    )
    return run(data, tmp_path_factory.mktemp("tolerances"))


def test_the_first_trial_is_the_methods_own_answer(tolerances: StudyRecord) -> None:
    first, own = tolerances.trials[0], next(b for b in tolerances.baselines if b.key == "baseline-alds")
    assert set(first.params.values()) == {1.0} and tolerances.own == first
    assert first.layers == own.layers and first.metrics["val/accuracy"] == own.metrics["val/accuracy"]
    assert {t.layers["1"]["rank"] for t in tolerances.trials} != {first.layers["1"]["rank"]}


def test_replicates_may_keep_different_layers_dense(tolerances: StudyRecord) -> None:
    layers = [
        {name for name in r["metrics"] if name.endswith("/rank")}
        for t in tolerances.trials
        for r in t.replicates
    ]
    pairs = list(zip(layers[::2], layers[1::2], strict=True))
    assert any(one != other for one, other in pairs), "else this study shows nothing"
    assert tolerances.count("complete") == 4


def test_every_trial_meets_the_budget(tolerances: StudyRecord) -> None:
    weights = sum(layer["dense_params"] for layer in tolerances.trials[0].layers.values())
    for trial in (*tolerances.trials, *tolerances.baselines):
        assert sum(layer["params"] for layer in trial.layers.values()) <= 0.4 * weights


def test_replicates_give_a_mean_and_a_spread(tolerances: StudyRecord) -> None:
    for trial in tolerances.trials:
        accuracies = [r["metrics"]["val/accuracy"] for r in trial.replicates]
        assert [r["seed"] for r in trial.replicates] == [0, 1] and accuracies[0] != accuracies[1]
        mean = pytest.approx(sum(accuracies) / 2)
        assert trial.metrics["val/accuracy"] == trial.values[0] == mean  # type: ignore[index]
        assert trial.metrics["val/accuracy_std"] == pytest.approx(abs(accuracies[0] - accuracies[1]) / 2**0.5)


def test_the_best_is_at_least_the_methods_own_answer_and_test_is_read_for_all(
    tolerances: StudyRecord,
) -> None:
    assert tolerances.best and tolerances.own and tolerances.best.values and tolerances.own.values
    assert tolerances.best.values[0] >= tolerances.own.values[0]
    assert set(tolerances.test) == {"dense", "own", "best", *(one.key for one in tolerances.baselines)}
    assert tolerances.test["best"]["key"] == tolerances.best.key
    assert 0.5 < tolerances.test["dense"]["test/accuracy"] <= 1


@pytest.mark.parametrize("early", [{"type": "asha", "eta": 2}, {"type": "median", "eta": 2}])
def test_a_trial_stopped_early_is_told_as_pruned_with_its_last_value(
    tmp_path: Path, early: dict[str, Any]
) -> None:
    data = digits(
        parameters={"budget.keep_ratio": {"values": [0.9, 0.5, 0.05, 0.03, 0.02]}},
        method="grid",
        budget={},
        compression={"method": "alds", "recalibrate_bn": 0, "retrain_epochs": 3},
        early_terminate=early,
        run_cap=5,
    )
    record = run(data, tmp_path)
    stopped = [t for t in record.trials if t.outcome == "stopped_early"]
    assert stopped and record.count("complete") and len(record.trials) == 5
    for trial in stopped:
        row = record.study.trials[int(trial.key)]
        assert row.state == TrialState.PRUNED
        last = max(trial.intermediate)
        assert row.values == [trial.intermediate[last]] and last < 3
        assert trial.metrics["epoch"] == last
    assert all(list(t.intermediate) == [1, 2] for t in record.complete)


def test_several_objectives_give_a_front(tmp_path: Path) -> None:
    data = digits(
        metric=None,
        metrics=[
            {"name": "val/accuracy", "goal": "maximize"},
            {"name": "compress/params", "goal": "minimize"},
        ],
        method="tpe",
        parameters={"budget.keep_ratio": {"min": 0.03, "max": 0.9}},
        compression={"method": "alds", "recalibrate_bn": 0, "retrain_epochs": 2},
        budget={},
        run_cap=6,
    )
    record = run({name: value for name, value in data.items() if value is not None}, tmp_path)
    assert record.count("complete") == 6
    assert {t.key for t in record.front} == {str(t.number) for t in record.study.best_trials}
    assert all(t.values == (t.metrics["val/accuracy"], t.metrics["compress/params"]) for t in record.trials)


def test_trials_of_a_study_moved_elsewhere_go_on_there(tmp_path: Path) -> None:
    data = digits(parameters={"budget.keep_ratio": {"min": 0.1, "max": 0.9}}, budget={}, run_cap=2)
    run(data, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert run({**data, "run_cap": 3}, tmp_path / "there").count("complete") == 3


def test_a_text_that_looks_like_a_number_stays_one_when_its_study_goes_on(tmp_path: Path) -> None:
    data = digits(description="1e3", run_cap=1)
    run(data, tmp_path)
    assert Sweep.from_file(StudyPaths(tmp_path).sweep).data["description"] == "1e3"
    assert run({**data, "run_cap": 2}, tmp_path).count("complete") == 2


def test_looking_at_a_study_changes_nothing_in_it(tombola: Tombola, finished: StudyRecord) -> None:
    before = contents(finished.directory)
    assert tombola("status", str(finished.directory)).exit_code == 0
    assert tombola("export", str(finished.directory), "--to", "new").exit_code == 0
    assert contents(finished.directory) == before
