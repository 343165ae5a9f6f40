"""A study whose driver is killed -9 twice, at the worst moments, and resumed: what W&B then shows of it."""

import json
import subprocess
import sys
from pathlib import Path

import sweeps
from sweeps.study.paths import StudyPaths
from sweeps.tracking.run_files import unsent
from tests.sweeps.studies import digits

from .wandb_file import histories
from .wandb_server import WandbServer

ROOT = Path(__file__).parents[2]
_DRIVERS = """
import os, signal, sys
import sweeps
from sweeps.running.tracker_observer import TrackerObserver

def dies(owner, name, times):
    original, calls = getattr(owner, name), []
    def deadly(*arguments):
        calls.append(name)
        if len(calls) == times:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)
    setattr(owner, name, deadly)

sweep = sweeps.Sweep.from_file("s.yaml")
# the store and Optuna have heard of an epoch and the tracker has not; then, of a trial's end
for owner, name, times in ((TrackerObserver, "reported", 2), (TrackerObserver, "ended", 1), (None, "", 0)):
    if (driver := os.fork()) == 0:
        if owner:
            dies(owner, name, times)
        sweeps.run(sweep, "study", without_ray=True)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1]), flush=True)
"""


def test_each_step_of_each_trial_is_there_exactly_once(server: WandbServer, tmp_path: Path) -> None:
    data = digits(name="killed", run_cap=2, training={"epochs": 3, "batch_size": 128, "lr": 0.05})
    del data["budget"]
    data["parameters"] = {"budget.keep_ratio": {"min": 0.2, "max": 0.6}}
    data["compression"] = {"method": "alds", "retrain_epochs": 3}
    (tmp_path / "s.yaml").write_text(json.dumps(data))
    with (tmp_path / "log").open("w") as log:
        done = subprocess.run(
            [sys.executable, "-c", _DRIVERS], cwd=tmp_path, stdout=log, stderr=log, timeout=240, check=False
        )
    assert done.returncode == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "log").read_text().split()[-3:] == ["-9", "-9", "0"]

    record = sweeps.load_record(tmp_path / "study")
    paths, study = StudyPaths(tmp_path / "study"), record.provenance["id"]
    expected = {f"{study}-{trial.key}": [epoch["step"] for epoch in trial.history] for trial in record.trials}
    assert [len(steps) for steps in expected.values()] == [3, 3]
    on_disk = {run: [row["step"] for row in rows] for run, rows in histories(paths.wandb).items()}
    assert on_disk == expected
    on_server = {name: [row[0] for row in run.points("step")] for name, run in server.runs.items()}
    assert on_server == expected | {f"{study}-dense": []}
    assert not unsent(paths.wandb)
    assert {run.exit_code for run in server.runs.values()} == {0}
    for trial in record.trials:
        values = [row[0] for row in server.runs[f"{study}-{trial.key}"].points("val/accuracy")]
        assert values == [epoch["val/accuracy"] for epoch in trial.history]
