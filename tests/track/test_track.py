"""One run per trial, made by the real recorder and a real wandb, and sent to a loopback server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from sweeps.errors import SweepError
from sweeps.running.conductor import plain
from sweeps.study.paths import StudyPaths
from sweeps.tracking.journal import journals
from sweeps.tracking.mode import choose_mode
from sweeps.tracking.run_files import unsent

from .runs import BEGIN, begin, point, recorder_of, steps_on_disk, tracker, warnings_of
from .wandb_file import histories
from .wandb_server import WandbServer


def test_a_run_has_its_history_over_our_own_step(
    server: WandbServer, paths: StudyPaths, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    result = tmp_path / "result.json"
    seeds = [
        {"seed": seed, "metrics": {"val/accuracy": 0.3 + seed / 100, "dense/val/accuracy": 0.2 + seed / 50}}
        for seed in range(3)
    ]
    history = [{"step": step, "epoch": step // 10, "val/accuracy": step / 100} for step in (10, 20, 30)]
    layers = {"conv1": {"rank": 4, "num_subspaces": 2}, "fc": {"rank": 7}}
    dense = {"val/accuracy": 0.2, "params": 1000}
    told = {"replicates": seeds, "history": history, "layers": layers, "dense": dense}
    result.write_text(json.dumps(told))
    study = tracker(paths)
    assert study.mode == "online", "an API key is configured"
    study.start("3", begin(result=str(result)))
    study.start("baseline-svd", begin(name="baseline-svd", job_type="baseline"))
    study.log("3", point(10))
    held = "constraint/val/accuracy within 0.01 of dense"
    last = point(
        30, **{"compress/params_kept": 0.25, "dense/val/accuracy": 0.22, "val/note": "warm", held: -0.25}
    )
    study.finish("3", "complete", last)
    study.finish("baseline-svd", "failed", {"failed": "it became NaN", "final": True}, "it became NaN")
    study.close()

    run, baseline = server.runs["s1-3"], server.runs["s1-baseline-svd"]
    assert run.points("step", "epoch", "val/accuracy") == [(10, 1, 0.1), (20, 2, 0.2), (30, 3, 0.3)], (
        "a step that nobody reported is taken from the result"
    )
    assert not {name for row in run.history for name in row} & {"training_iteration", "hostname", "final"}
    assert run.axes["*"] == "step"
    shown = {"CR-P": 75.0, "outcome": "complete", "val/note": "warm", held: -0.25, "verdict": "better"}
    assert shown.items() <= run.summary.items()
    assert run.attributes["notes"].startswith(
        "Reaches val/accuracy 0.3000 (mean of 3 seeds, standard deviation 0.0000) with "
        "25.0 % of the parameters (CR-P 75.0 %). Its dense network ([s1-dense]("
    )
    assert run.attributes["notes"].endswith(
        "/lab/tombola/runs/s1-dense)) reaches 0.2200: "
        "better over 3 seeds (95 % interval of the difference +0.0652 to +0.1148)."
    )
    assert run.config == BEGIN["config"]
    labels = [run.attributes[name] for name in ("groupName", "jobType", "displayName", "tags")]
    assert labels == ["alds_digits", "trial", "trial-3", ["compress", "alds"]]
    assert run.exit_code == 0
    tables = {
        name: json.loads(server.artifacts[f"run-s1-3-{name}"].files[f"{name}.table.json"])
        for name in ("layers", "replicates")
    }
    assert tables["layers"]["columns"] == ["layer", "rank", "num_subspaces"]
    assert tables["layers"]["data"] == [["conv1", 4, 2], ["fc", 7, None]]
    assert [row[0] for row in tables["replicates"]["data"]] == [0, 1, 2]
    assert baseline.attributes["jobType"] == "baseline" and baseline.exit_code == 1
    assert baseline.summary["failed"] == "it became NaN"
    assert baseline.attributes["notes"] == "Failed: it became NaN"
    small = server.runs["s1-dense"]
    assert small.attributes["jobType"] == "dense"
    assert {"val/accuracy": 0.2, "compress/params": 1000, "CR-P": 0}.items() <= small.summary.items()
    assert not unsent(paths.wandb) and not journals(paths.wandb)
    assert capfd.readouterr() == ("", ""), "wandb stays off the terminal"


def level(number: int, density: float, **tracks: float) -> dict[str, Any]:
    """What a lottery reports after a level; the dense network has no mask and so no density."""
    others = {f"{track}/val/accuracy": accuracy for track, accuracy in tracks.items() if track != "ticket"}
    spreads = {f"{track}/val/accuracy_std": 0.01 for track in tracks if track != "ticket"}
    masked = {"compress/density": density, "compress/layer/fc/density": density / 2} if number else {}
    own = {
        "primary": "val/accuracy",
        "level": number,
        "epoch": number,
        "step": 100 * number + 100,
        "val/accuracy": tracks["ticket"],
        "val/accuracy_std": 0.02,
        "early_stop/val/accuracy": 0.5,
        "training": [{"step": step, "val/accuracy": tracks["ticket"] - 1 / step} for step in (50, 100)],
    }
    return {**own, **others, **spreads, **masked, "dense/val/accuracy": 0.9, "final": False}


def kept(metrics: dict[str, Any]) -> dict[str, Any]:
    """The same level as result.json keeps it."""
    ticket = {name: metrics[name] for name in ("val/accuracy", "val/accuracy_std")}
    others = {
        track: {f"val/accuracy{end}": metrics[f"{track}/val/accuracy{end}"] for end in ("", "_std")}
        for track in ("reinit", "random")
        if f"{track}/val/accuracy" in metrics
    }
    density = metrics.get("compress/density", 1.0)
    told = {"density": density, "params_kept": density, "history": metrics["training"], "verdict": {}}
    return {
        "level": metrics["level"],
        "step": metrics["step"],
        "tracks": {"ticket": ticket, **others},
        **told,
    }


def test_a_lotterys_levels_are_curves_over_the_density(
    server: WandbServer, paths: StudyPaths, tmp_path: Path
) -> None:
    levels = [
        level(0, 1.0, ticket=0.9),
        level(1, 0.8, ticket=0.92, reinit=0.88, random=0.86),
        level(2, 0.64, ticket=0.91, reinit=0.85, random=0.8),
    ]
    result = tmp_path / "result.json"
    result.write_text(json.dumps({"levels": [kept(metrics) for metrics in levels]}))
    first = tracker(paths)
    first.start("3", begin(result=str(result)))
    first.log("3", levels[0])
    first.close()
    second = tracker(paths)  # it hears of the end alone, and takes the levels between from the result
    second.finish("3", "complete", {name: one for name, one in levels[-1].items() if name != "training"})
    second.close()
    run = server.runs["s1-3"]
    curves = ("density/ticket", "density/reinit", "density/random")
    assert [row for row in run.points("compress/density", *curves) if row[0]] == [
        (1, 0.9, None, None),
        (0.8, 0.92, 0.88, 0.86),
        (0.64, 0.91, 0.85, 0.8),
    ]
    low = [row for row in run.points("density/ticket_low", "density/random_high") if row[0]]
    assert low == [(0.88, None), (0.9, 0.87), (pytest.approx(0.89), 0.81)]
    assert [row for row in run.points("step", "val/accuracy") if row[0]] == [
        (100, 0.9),
        (200, 0.92),
        (300, 0.91),
    ]
    trained = [row for row in run.points("training/step", "training/level 02") if row[1]]
    assert trained == [(50, 0.89), (100, 0.9)]
    assert {name: run.axes[name] for name in curves} == dict.fromkeys(curves, "compress/density")
    assert run.axes["training/level 02"] == "training/step" and run.axes["*"] == "step"


def test_a_lottery_that_ended_while_its_driver_was_killed_has_its_last_level(
    paths: StudyPaths, tmp_path: Path
) -> None:
    levels = [level(0, 1.0, ticket=0.9), level(1, 0.8, ticket=0.92, random=0.86)]
    result = tmp_path / "result.json"
    result.write_text(json.dumps({"levels": [kept(metrics) for metrics in levels]}))
    study = tracker(paths, mode="offline")
    study.start("3", begin(result=str(result)))
    study.finish("3", "complete", plain(levels[-1]))  # as the study holds it, without its level
    study.close()
    curves = [
        tuple(row.get(f"density/{track}") for track in ("ticket", "random"))
        for row in histories(paths.wandb)["s1-3"]
        if "density/ticket" in row
    ]
    assert curves == [(0.9, None), (0.92, 0.86)]


def test_a_second_driver_goes_on_with_the_same_run(server: WandbServer, paths: StudyPaths) -> None:
    first = tracker(paths)
    first.start("3", BEGIN)
    for step in (10, 20):
        first.log("3", point(step))
    first.close()
    assert server.runs["s1-3"].points("step") == [(10,), (20,)] and server.runs["s1-3"].exit_code == 1

    second = tracker(paths)
    second.start("3", BEGIN)
    second.log("3", point(40, earlier=[point(step) for step in (10, 20, 30)]))
    second.log("3", point(20))
    second.finish("3", "complete", point(50))
    second.close()
    assert list(server.runs) == ["s1-3"]
    assert server.runs["s1-3"].points("step") == [(10,), (20,), (30,), (40,), (50,)]
    assert steps_on_disk(paths) == {"s1-3": [10, 20, 30, 40, 50]}
    assert server.runs["s1-3"].exit_code == 0


def test_offline_runs_are_uploaded_later(server: WandbServer, paths: StudyPaths) -> None:
    for key, mode in (("3", "offline"), ("4", "offline"), ("5", "online")):
        study = tracker(paths, mode=mode)  # type: ignore[arg-type]
        study.start(key, BEGIN)
        study.log(key, point(10))
        study.finish(key, "complete", point(20))
        if key == "5":
            server.wait_until(
                lambda: all(run.exit_code == 0 for run in server.runs.values()) and len(server.runs) == 2
            )
        study.close()
        if key == "3":
            assert server.runs == {}
            sync(paths)
    assert server.runs.keys() == {"s1-3", "s1-4", "s1-5"}, "by hand, and by the next driver that is online"
    assert all(run.points("step") == [(10,), (20,)] for run in server.runs.values())
    assert server.runs["s1-3"].opened == 2, "and then not again"


Fault = Literal["down", "hangs", 401, 429, 500]


@pytest.mark.parametrize("fault", ["down", "hangs", 401, 429, 500])
def test_no_fault_of_w_and_b_is_waited_for(
    fault: Fault,
    server: WandbServer,
    paths: StudyPaths,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if fault == "down":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    study = tracker(paths)
    study.start("3", BEGIN)
    if fault == 500:  # it dies in mid-sweep
        server.wait_until(lambda: "s1-3" in server.runs)
    server.fault = None if fault == "down" else fault
    for step in (10, 20):
        study.log("3", point(step))
    study.start("4", BEGIN)
    if fault != "down":
        server.wait_until(lambda: server.hurt > 0)
    study.finish("3", "complete", point(30))
    study.log("4", point(10))
    study.finish("4", "failed", {}, "it became NaN")
    study.close()
    [warning] = warnings_of(caplog)
    assert f"`wandb sync --yes {paths.wandb}` uploads what W&B lacks" in warning
    assert capfd.readouterr() == ("", "")
    assert steps_on_disk(paths) == {"s1-3": [10, 20, 30], "s1-4": [10]}

    server.heal()
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    sync(paths)
    assert {name: run.points("step") for name, run in server.runs.items()} == {
        "s1-3": [(10,), (20,), (30,)],
        "s1-4": [(10,)],
    }
    assert (server.runs["s1-3"].exit_code, server.runs["s1-4"].exit_code) == (0, 1)


def test_a_driver_waits_for_nothing_but_its_own_end(paths: StudyPaths, server: WandbServer) -> None:
    study = tracker(paths)
    study.start("3", BEGIN)
    server.wait_until(lambda: "s1-3" in server.runs)
    recorder = recorder_of(paths)
    recorder.suspend()  # as if all of W&B stood still; more is said than a pipe holds
    for step in range(70_000 // 7):
        study.log("3", point(step))
    study.finish("3", "complete", point(10_000))
    assert len(journals(paths.wandb)["3"].read_text().splitlines()) == 10_002
    recorder.resume()
    study.close()
    assert steps_on_disk(paths)["s1-3"] == list(range(10_001))


def test_w_and_bs_own_service_may_die(
    server: WandbServer, paths: StudyPaths, caplog: pytest.LogCaptureFixture
) -> None:
    study = tracker(paths)
    for key in ("3", "4"):
        study.start(key, BEGIN)
        study.log(key, point(10))
    server.wait_until(lambda: len(server.runs) == 2)
    [service] = [c for c in recorder_of(paths).children(recursive=True) if "wandb-core" in c.name()]
    service.kill()
    for key in ("3", "4"):
        study.log(key, point(20))
        study.finish(key, "complete", point(30))
    server.wait_until(lambda: [run.exit_code for run in server.runs.values()] == [0, 0])
    study.close()
    expected = {run: [10, 20, 30] for run in ("s1-3", "s1-4")}
    assert steps_on_disk(paths) == expected
    assert {n: [row[0] for row in run.points("step")] for n, run in server.runs.items()} == expected


def test_a_full_disk_costs_a_study_its_runs_and_nothing_else(
    paths: StudyPaths, caplog: pytest.LogCaptureFixture
) -> None:
    paths.wandb.write_text("no folder")
    study = tracker(paths, mode="offline")
    study.start("3", BEGIN)
    study.log("3", point(10))
    study.close()
    [warning] = warnings_of(caplog)
    assert warning.startswith("W&B's runs record no more: ")


def test_disabled_writes_nothing(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    study = tracker(paths, mode="online")
    study.start("3", BEGIN)
    study.log("3", point(10))
    study.finish("3", "complete", point(20))
    study.close()
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


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_what_wandbs_own_command_has_set_holds_where_nobody_says_else(mode: str, server: WandbServer) -> None:
    settings = Path(os.environ["WANDB_CONFIG_DIR"]) / "settings"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(f"[default]\nmode = {mode}\n")
    assert choose_mode() == mode, "though there is a key"
    assert choose_mode("online") == "online"


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


def sync(paths: StudyPaths) -> None:
    """`wandb sync` as the warning says it."""
    command = [sys.executable, "-m", "wandb", "sync", "--yes", str(paths.wandb)]
    done = subprocess.run(command, cwd=paths.root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
