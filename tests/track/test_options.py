"""What a sweep file asks of W&B beside its runs, and the study's W&B Report."""

import json
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from click.testing import CliRunner, Result

import sweeps
from sweeps.commands.report import report
from sweeps.errors import SweepError
from sweeps.study.paths import StudyPaths
from sweeps.study.record import StudyRecord
from sweeps.sweep_file.sweep import Sweep
from sweeps.tracking.run_files import run_files
from tests.sweeps.studies import digits

from .wandb_server import WandbServer


def study(folder: Path, **wandb_keys: Any) -> StudyRecord:
    """A study of two trials with two replicates each."""
    data = digits(name="shown", project="p", entity="lab", replicates=2, wandb=wandb_keys)
    del data["budget"]
    data["parameters"] = {"budget.keep_ratio": {"min": 0.2, "max": 0.6}}
    return sweeps.run(Sweep.from_data(data), folder, without_ray=True)


def reported(folder: Path) -> Result:
    return CliRunner().invoke(report, [str(folder), "--wandb"])


def test_a_study_is_a_sweep_and_has_its_best_network_and_its_report(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = study(tmp_path / "study", sweep=True, network=True)
    key, best = record.provenance["id"], record.best
    assert best
    [(name, made)] = server.sweeps.items()
    config = yaml.safe_load(made["config"])
    assert config["parameters"]["budget"]["parameters"]["keep_ratio"] == {"min": 0.2, "max": 0.6}
    assert config["metric"] == {"name": "val/accuracy", "goal": "maximize"}
    trials = [server.runs[f"{key}-{trial.key}"] for trial in record.trials]
    assert {run.attributes["sweep"] for run in trials} == {name}
    for run, trial in zip(trials, record.trials, strict=True):
        assert run.config["budget"]["keep_ratio"] == trial.params["budget.keep_ratio"]
        assert (run.config["replicates"], run.config["dense"]) == (2, f"{key}-dense")
        assert "2 replicates" in run.attributes["tags"]
        assert not {"directory", "store"} & run.config.keys()

    network = server.artifacts["shown-best"]
    assert (network.kind, network.run, network.is_committed) == ("model", f"{key}-best", True)
    on_disk = {p.name: p.read_bytes() for p in (tmp_path / "study" / "best").iterdir() if p.is_file()}
    assert network.files == on_disk and "spec.json" in on_disk
    assert server.runs[f"{key}-best"].config["run"] == f"{key}-{best.key}"

    wandb.teardown()
    monkeypatch.setenv("WANDB_MODE", "offline")
    answer = reported(tmp_path / "study")
    assert answer.exit_code == 0, answer.output
    file = tmp_path / "study" / "wandb_report.json"
    assert f"{file} (W&B is offline" in answer.output and not server.views
    built = json.loads(file.read_text())
    assert {
        "Scatter Plot",
        "Parallel Coordinates Plot",
        "Parameter Importance",
        "Run Comparer",
        "Vega2",
    } <= kinds(built)

    monkeypatch.delenv("WANDB_MODE")
    for _ in range(2):
        wandb.teardown()
        answer = reported(tmp_path / "study")
        assert answer.exit_code == 0, answer.output
        assert f"{server.url}/lab/p/reports/" in answer.output
    [view] = server.views.values()
    assert view["displayName"] == "shown: what was found"
    assert kinds({"spec": json.loads(view["spec"])}) == kinds(built)
    assert "The best network found" in view["spec"]

    server.fault = 500
    wandb.teardown()
    answer = reported(tmp_path / "study")
    assert answer.exit_code == 1
    assert "W&B did not take the report" in str(answer.exception)


def test_the_best_network_and_its_trial_have_one_dense_network(tmp_path: Path) -> None:
    data = digits(run_cap=1, wandb={"network": True, "mode": "offline"})
    data["training"] = {"epochs": 1, "batch_size": 128}
    data["parameters"] = {"training.lr": {"min": 0.05, "max": 0.1}}
    record = sweeps.run(Sweep.from_data(data), tmp_path / "study", without_ray=True)
    runs = [file.stem for file in run_files(StudyPaths(tmp_path / "study").wandb)]
    [dense] = [run for run in runs if "-dense" in run]
    assert len(runs) == 3 and dense.startswith(f"run-{record.provenance['id']}-dense-")


def test_a_project_that_w_and_b_does_not_take_is_named() -> None:
    with pytest.raises(SweepError, match=r"project: 'a/b': W&B takes names of 1 to 128 characters"):
        Sweep.from_data(digits(project="a/b"))


def kinds(built: Any) -> set[str]:
    """The kinds of panels of a report."""
    if isinstance(built, dict):
        own = {built["viewType"]} if "viewType" in built else set()
        return own.union(*(kinds(value) for value in built.values()))
    return set().union(*(kinds(value) for value in built)) if isinstance(built, list) else set()
