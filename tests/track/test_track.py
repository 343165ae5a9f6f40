"""One run per trial, on a real wandb against a loopback server."""

import gc
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from sweeps.errors import SweepError
from sweeps.study.paths import StudyPaths
from sweeps.tracking.mode import Mode, choose_mode
from sweeps.tracking.tracker import Tracker

from .wandb_server import WandbServer

CONFIG = {"params": {"tolerance/conv1": 0.5}, "trial": {"key": "3", "compression": {"method": "alds"}}}


def tracker(paths: StudyPaths, mode: Mode | None = None) -> Tracker:
    return Tracker(paths, project="tombola", entity="lab", study_name="alds_digits", study_id="s1", mode=mode)


def point(step: int, **more: Any) -> dict[str, Any]:
    """A result as Tune hands it on: the trial's metrics among Ray's own fields."""
    trial = {
        "step": step,
        "epoch": step // 10,
        "val/accuracy": step / 100,
        "compress/layer/conv1/rank": 4,
        "final": False,
    }
    return {**trial, "training_iteration": 1, "time_total_s": 2.5, "hostname": "here", **more}


def test_a_run_has_its_history_over_our_own_step(
    server: WandbServer, paths: StudyPaths, capfd: pytest.CaptureFixture[str]
) -> None:
    study = tracker(paths)
    assert study.mode == "online", "an API key is configured"
    study.start("3", CONFIG)
    study.start("baseline-svd", {"params": {}})
    for step in (10, 20, 20, 10, 30):
        study.log("3", point(step, **{"val/note": "warm"}))
    held = "constraint/val/accuracy within 0.01 of dense"
    study.finish("3", {"test/accuracy": 0.97, held: -0.25, "final": True})
    study.log("baseline-svd", {"failed": "the loss became NaN", "final": True})
    study.finish("baseline-svd", {}, failed="the loss became NaN")

    run, baseline = server.runs["s1-3"], server.runs["s1-baseline-svd"]
    assert run.points("step", "epoch", "val/accuracy") == [(10, 1, 0.1), (20, 2, 0.2), (30, 3, 0.3)], (
        "a step is logged once"
    )
    assert {name for entry in run.history for name in entry if not name.startswith("_")} == {
        "step",
        "epoch",
        "val/accuracy",
    }
    assert (
        run.summary["compress/layer/conv1/rank"] == 4
        and run.summary["val/note"] == "warm"
        and run.summary["test/accuracy"] == 0.97
        and run.summary[held] == -0.25
    )
    assert run.config == CONFIG
    assert (run.attributes["groupName"], run.attributes["jobType"], run.attributes["displayName"]) == (
        "alds_digits",
        "trial",
        "trial-3",
    )
    assert run.exit_code == 0
    assert baseline.attributes["jobType"] == "baseline" and baseline.exit_code == 1
    assert baseline.summary["failed"] == "the loss became NaN"
    assert capfd.readouterr() == ("", ""), "wandb stays off the terminal"


def level(number: int, density: float, **tracks: float) -> dict[str, Any]:
    """What a lottery reports after a level; the dense network has no mask and so no density."""
    others = {f"{track}/val/accuracy": accuracy for track, accuracy in tracks.items() if track != "ticket"}
    masked = {"compress/density": density, "compress/layer/fc/density": density / 2} if number else {}
    own = {
        "primary": "val/accuracy",
        "level": number,
        "epoch": number,
        "step": 100 * number + 100,
        "val/accuracy": tracks["ticket"],
        "early_stop/val/accuracy": 0.5,
    }
    return {**own, **others, **masked, "dense/val/accuracy": 0.9, "final": False}


def test_a_lotterys_levels_are_curves_over_the_density(server: WandbServer, paths: StudyPaths) -> None:
    levels = [
        level(0, 1.0, ticket=0.9),
        level(1, 0.8, ticket=0.92, reinit=0.88, random=0.86),
        level(2, 0.64, ticket=0.91, reinit=0.85, random=0.8),
    ]
    for driver in range(2):  # the second goes on after the first died, from the lottery's beginning
        study = tracker(paths)
        study.start("3", CONFIG)
        for metrics in levels[: 2 + driver]:
            study.log("3", metrics)
        study.close() if not driver else study.finish("3", levels[-1])
    run = server.runs["s1-3"]
    curves = ("density/ticket", "density/reinit", "density/random")
    assert run.points("compress/density", *curves) == [
        (1, 0.9, None, None),
        (0.8, 0.92, 0.88, 0.86),
        (0.64, 0.91, 0.85, 0.8),
    ]
    assert run.points("step", "val/accuracy") == [(100, 0.9), (200, 0.92), (300, 0.91)]
    assert {name for name in run.history[-1] if name.startswith("density/")} == set(curves)
    assert {name: run.axes[name] for name in curves} == dict.fromkeys(
        curves, "compress/density"
    ) and run.axes["*"] == "step"
    assert run.summary["compress/layer/fc/density"] == 0.32


def test_a_second_driver_goes_on_with_the_same_run(server: WandbServer, paths: StudyPaths) -> None:
    first = tracker(paths)
    first.start("3", CONFIG)
    for step in (10, 20):
        first.log("3", point(step))
    first.close()
    assert server.runs["s1-3"].exit_code == 1

    second = tracker(paths)
    second.start("3", CONFIG)
    for step in (20, 30):
        second.log("3", point(step))
    second.finish("3", {})
    assert list(server.runs) == ["s1-3"]
    assert server.runs["s1-3"].points("step", "val/accuracy") == [(10, 0.1), (20, 0.2), (30, 0.3)]
    assert server.runs["s1-3"].exit_code == 0


def test_too_many_requests_are_survived(server: WandbServer, paths: StudyPaths) -> None:
    study = tracker(paths)
    study.start("3", CONFIG)
    server.refusals = 2
    for step in (10, 20):
        study.log("3", point(step))
    study.finish("3", {})
    assert server.refused == 2
    assert server.runs["s1-3"].points("step") == [(10,), (20,)]
    assert study.mode == "online"


def test_offline_runs_are_uploaded_later(server: WandbServer, paths: StudyPaths) -> None:
    study = tracker(paths, mode="offline")
    study.start("3", CONFIG)
    for step in (10, 20):
        study.log("3", point(step))
    study.finish("3", {"test/accuracy": 0.97})
    assert server.runs == {}

    sync(paths)
    run = server.runs["s1-3"]
    assert run.points("step", "val/accuracy") == [(10, 0.1), (20, 0.2)]
    assert run.summary["test/accuracy"] == 0.97 and run.summary["compress/layer/conv1/rank"] == 4
    assert run.config == CONFIG


def test_a_driver_killed_offline_loses_nothing_of_its_runs(server: WandbServer, paths: StudyPaths) -> None:
    script = f"""
import os, signal, time
from pathlib import Path
from sweeps.study.paths import StudyPaths
from sweeps.tracking.tracker import Tracker
paths = StudyPaths(Path({str(paths.root)!r}))
study = Tracker(paths, project="tombola", entity="lab", study_name="n", study_id="s1", mode="offline")
study.start("3", {{}})
for step in (10, 20):
    study.log("3", {{"step": step, "val/accuracy": step / 100}})
time.sleep(2)
os.kill(os.getpid(), signal.SIGKILL)
"""
    # No pipes: wandb's own process outlives its parent a while and would hold them open.
    subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=120,
    )
    second = tracker(paths, mode="offline")
    second.start("3", CONFIG)
    second.log("3", point(30))
    second.finish("3", {})

    sync(paths)
    assert server.runs["s1-3"].points("step", "val/accuracy") == [(10, 0.1), (20, 0.2), (30, 0.3)]


def test_a_driver_killed_before_its_first_record_spoils_no_upload(
    server: WandbServer, paths: StudyPaths
) -> None:
    recorded = paths.wandb / "offline-run-20260105_101010-s1-3" / "run-s1-3.wandb"
    recorded.parent.mkdir(parents=True)
    recorded.write_bytes(b":W&B\xe1\xbe\x00")  # the head alone, as such a driver leaves it
    study = tracker(paths, mode="offline")
    study.start("3", CONFIG)
    study.log("3", point(30))
    study.finish("3", {})

    sync(paths)
    assert server.runs["s1-3"].points("step", "val/accuracy") == [(30, 0.3)]


@pytest.mark.parametrize("reason", ["nobody listens", "the key is refused"])
def test_without_w_and_b_the_study_goes_on_offline_and_says_so_once(
    reason: str,
    server: WandbServer,
    paths: StudyPaths,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sweeps.tracking.tracker._INIT_TIMEOUT", 3.0)
    if reason == "nobody listens":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    server.locked = True
    study = tracker(paths)
    for key in ("3", "4"):
        study.start(key, CONFIG)
        study.log(key, point(10))
        study.finish(key, {})
    assert study.mode == "offline"
    [warning] = warnings_of(caplog)
    assert f"goes on offline; `wandb sync {paths.wandb}`" in warning
    assert capfd.readouterr() == ("", "")

    server.locked = False
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    sync(paths)
    assert {run_id: run.points("step") for run_id, run in server.runs.items()} == {
        "s1-3": [(10,)],
        "s1-4": [(10,)],
    }


def reap(pid: int) -> None:
    """Wait for a process that wandb started and does not wait for: Python would complain in a later test."""
    for made in gc.get_objects():
        if type(made) is subprocess.Popen and made.pid == pid:
            made.wait()


def test_w_and_b_that_dies_while_trials_run_costs_no_trial(
    server: WandbServer, paths: StudyPaths, caplog: pytest.LogCaptureFixture
) -> None:
    study = tracker(paths)
    for key in ("3", "4"):
        study.start(key, CONFIG)
        study.log(key, point(10))
    [service] = [child for child in psutil.Process().children(recursive=True) if "wandb-core" in child.name()]
    service.kill()
    reap(service.pid)
    for key in ("3", "4"):
        study.log(key, point(20))
        study.finish(key, {})
    assert study.mode == "offline" and len(warnings_of(caplog)) == 1

    sync(paths)
    for run_id in ("s1-3", "s1-4"):
        assert server.runs[run_id].points("step")[-1] == (20,)
        assert server.runs[run_id].exit_code == 0


def test_disabled_writes_nothing(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    study = tracker(paths, mode="online")
    study.start("3", CONFIG)
    study.log("3", point(10))
    study.finish("3", {})
    assert list(paths.root.iterdir()) == []


def test_the_mode_follows_environment_then_sweep_then_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert choose_mode() == "offline"
    Path(os.environ["NETRC"]).write_text(f"machine 127.0.0.1:9 login user password {'k' * 40}\n")
    assert choose_mode() == "online"
    assert choose_mode("offline") == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert choose_mode("online") == "disabled"
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(SweepError, match="WANDB_MODE is 'sometimes'; it must be online, offline or disabled"):
        choose_mode()


def test_a_wrong_setting_of_wandb_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "soon")
    with pytest.raises(SweepError, match=r"W&B's setting init_timeout \('soon'\) is wrong"):
        choose_mode()


def test_online_without_a_key_becomes_offline(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert choose_mode("online") == "offline"
    assert "no API key" in warnings_of(caplog)[0]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if r.name.startswith("sweeps.") and r.levelno >= logging.WARNING
    ]


def sync(paths: StudyPaths) -> None:
    """`wandb sync` as the warning says it; it asks before it uploads a whole folder."""
    command = [sys.executable, "-m", "wandb", "sync", "--yes", str(paths.wandb)]
    done = subprocess.run(command, cwd=paths.root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
