"""Sweeps small enough to be run in a moment: real digits, a real network, an epoch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sweeps
from sweeps import StudyRecord, Sweep

USERS = "tests.sweeps.users"


def digits(**keys: Any) -> dict[str, Any]:
    """A sweep file's data: lenet_300_100 on digits, one epoch, two trials; ``keys`` replace its keys."""
    return {
        "name": "digits",
        "task": {"network": "lenet_300_100", "data": "digits"},
        "training": {"epochs": 1, "batch_size": 128, "lr": 0.1},
        "compression": {"method": "alds", "recalibrate_bn": 0},
        "budget": {"keep_ratio": 0.25},
        "method": "random",
        "metric": {"name": "val/accuracy", "goal": "maximize"},
        "run_cap": 2,
        **keys,
    }


def run(data: Mapping[str, Any], folder: Path) -> StudyRecord:
    """The study of a sweep, run in this process."""
    return sweeps.run(Sweep.from_data(data), folder, without_ray=True)
