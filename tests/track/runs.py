"""The runs of made-up trials, as a driver tells of them, and what came of it."""

import logging
from typing import Any

import psutil
import pytest

from sweeps.study.paths import StudyPaths
from sweeps.tracking.mode import Mode
from sweeps.tracking.tracker import Labels, Tracker

from .wandb_file import histories

BEGIN = {
    "name": "trial-3",
    "job_type": "trial",
    "tags": ["compress", "alds"],
    "config": {"compression": {"method": "alds"}, "budget": {"keep_ratio": 0.25}},
    "metric": "val/accuracy",
    "goal": "maximize",
    "dense": "dense",
}


def tracker(paths: StudyPaths, mode: Mode | None = None) -> Tracker:
    return Tracker(paths, Labels("tombola", "lab", "alds_digits", "s1"), mode)


def begin(**other: Any) -> dict[str, Any]:
    return BEGIN | other


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


def steps_on_disk(paths: StudyPaths) -> dict[str, list[Any]]:
    return {run: [row.get("step") for row in rows] for run, rows in histories(paths.wandb).items()}


def recorder_of(paths: StudyPaths) -> psutil.Process:
    return next(c for c in psutil.Process().children() if str(paths.wandb) in " ".join(c.cmdline()))


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if r.name.startswith("sweeps.") and r.levelno >= logging.WARNING
    ]
