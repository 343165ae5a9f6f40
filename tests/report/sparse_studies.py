"""Studies of masks and tickets, really run: the digits, a small network, an epoch or two."""

from pathlib import Path
from typing import Any

import sweeps
from sweeps import StudyRecord, Sweep

_COMMON: dict[str, Any] = {
    "task": {"network": "lenet_300_100", "data": "digits", "network_options": {"initialization": "glorot"}},
    "training": {"epochs": 2, "batch_size": 60, "optimizer": "adam", "lr": 1.2e-3},
    "method": "grid",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
}


def lottery(folder: Path, *, replicates: int = 2, **keys: Any) -> StudyRecord:
    """Three levels with both controls and their stability; ``keys`` replace the sweep's keys."""
    section = {"levels": 3, "rate": 0.6, "controls": ["reinit", "random"], "stability": True}
    named = {
        "name": "tickets",
        "trainable": "lottery",
        "compression": {"method": "magnitude"},
        "lottery": section,
        "run_cap": 4,
    }
    return _run({**_COMMON, **named, "replicates": replicates, **keys}, folder)


def two_rewind_points(folder: Path) -> StudyRecord:
    """A lottery of two trials and one replicate."""
    return lottery(folder, replicates=1, parameters={"lottery.rewind_to": {"values": ["0it", "20it"]}})


def at_initialisation(folder: Path) -> StudyRecord:
    """Three methods at two densities, each with its mask shuffled beside it."""
    parameters = {
        "compression.method": {"values": ["snip", "magnitude", "random"]},
        "compression.control": {"values": ["none", "shuffle"]},
        "budget.keep_ratio": {"values": [0.3, 0.05]},
    }
    named = {
        "name": "masks",
        "trainable": "prune_at_init",
        "compression": {},
        "budget": {},
        "parameters": parameters,
        "run_cap": 12,
    }
    return _run({**_COMMON, **named, "replicates": 2}, folder)


def with_empty_layers(folder: Path) -> StudyRecord:
    """Magnitude at 2 % of the weights as torch draws them, which leaves none in two layers; one seed."""
    parameters = {
        "compression.method": {"values": ["magnitude", "snip"]},
        "budget.keep_ratio": {"values": [0.5, 0.02]},
    }
    named = {
        "name": "empty",
        "trainable": "prune_at_init",
        "task": {"network": "lenet_300_100", "data": "digits"},
        "training": {"epochs": 3, "batch_size": 60, "optimizer": "adam", "lr": 1.2e-3},
        "compression": {},
        "budget": {},
        "parameters": parameters,
        "run_cap": 4,
    }
    return _run({**_COMMON, **named, "replicates": 1}, folder)


def without_dense(folder: Path) -> StudyRecord:
    """Drawn densities and learning rates, two objectives; no dense network is trained."""
    parameters = {
        "budget.keep_ratio": {"distribution": "log_uniform_values", "min": 0.05, "max": 0.5},
        "training.lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 1e-2},
    }
    objectives = [
        {"name": "val/accuracy", "goal": "maximize"},
        {"name": "compress/params_kept", "goal": "minimize"},
    ]
    named = {
        "name": "search",
        "trainable": "prune_at_init",
        "compression": {"method": "random"},
        "budget": {},
        "parameters": parameters,
    }
    keys = {key: value for key, value in _COMMON.items() if key != "metric"}
    return _run({**keys, **named, "metrics": objectives, "method": "random", "run_cap": 3}, folder)


def _run(data: dict[str, Any], folder: Path) -> StudyRecord:
    return sweeps.run(Sweep.from_data(data), folder, without_ray=True)
