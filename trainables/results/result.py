"""A trial's result.json: written whole, before anyone hears that the trial has ended."""

import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trainables.config import TrialConfig
from trainables.metric_names import TEST, TRAIN_LOSS, VALIDATION
from trainables.store.disk import write_json

_SPREAD = (VALIDATION, TEST, TRAIN_LOSS)
_VERSIONS = ("torch", "torchvision", "ray", "safetensors")


def averaged(replicates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of every metric over the replicates, and ``_std``, the sample standard deviation (0 for one), of the measured ones.

    A metric that some replicates lack is left out: a layer may be decomposed in one and stay dense in another.
    """
    means: dict[str, Any] = {}
    for name in (n for n in replicates[0] if all(n in replicate for replicate in replicates)):
        values = [replicate[name] for replicate in replicates]
        # equal values stay as they are: a parameter count stays an integer
        means[name] = values[0] if len(set(values)) == 1 else statistics.fmean(values)
        if name.startswith(_SPREAD):
            means[f"{name}_std"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return means


def read(config: TrialConfig) -> dict[str, Any] | None:
    """The result of a trial that has ended, None while it has not."""
    try:
        return json.loads(_path(config).read_text())
    except (FileNotFoundError, ValueError):
        return None


def final_metrics(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the trial's last step returned."""
    return {**result["metrics"], **({"failed": result["failed"]} if result["failed"] else {}), "final": True}


def in_epochs(steps: int, steps_per_epoch: int) -> float:
    """Optimiser steps as epochs: a whole number where they are whole."""
    return steps // steps_per_epoch if steps % steps_per_epoch == 0 else steps / steps_per_epoch


def write(config: TrialConfig, **content: Any) -> None:
    """Record a trial that came to its end.

    ``content``: metrics, replicates, layers (of its lowest seed), dense, history, what it was trained with, and a lottery's levels.
    """
    _write(config, **content, failed=None)


def write_failed(config: TrialConfig, reason: str) -> None:
    """Record a trial that failed, unless another worker has brought it to its end."""
    if (finished := read(config)) and not finished["failed"]:
        return
    _write(config, metrics={}, replicates=[], layers={}, dense={}, history=[], trained_with=[], failed=reason)


def _write(config: TrialConfig, **content: Any) -> None:
    path = _path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    versions = {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}}
    write_json(path, {"key": config.key, **content, "versions": versions})


def _path(config: TrialConfig) -> Path:
    return Path(config.directory) / "result.json"
