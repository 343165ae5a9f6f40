"""A trial's result.json: written whole, before anyone hears that the trial has ended; the study reads it from
here too.
"""

import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, replace
from importlib.metadata import version
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from trainables.config import TrialConfig
from trainables.metric_names import TEST, TRAIN_LOSS, VALIDATION
from trainables.places.place import Place
from trainables.results.trial_paths import TrialPaths
from trainables.store.disk import write_json

_SPREAD = (VALIDATION, TEST, TRAIN_LOSS)
_VERSIONS = ("torch", "torchvision", "ray", "safetensors")


@dataclass(frozen=True)
class TrialResult:
    """What result.json holds of a trial that has ended; a field that an older file lacks has its default.

    ``metrics`` is what the trial's last step returned, ``replicates`` each seed's own metrics; ``layers``
    tells what became of each layer of the lowest seed's network (see `compression_figures.layers`),
    ``curves`` the errors that it was chosen by (see `error_curves`), ``dense`` the dense network's figures.
    ``history`` has one entry for each epoch of the closing training, ``levels`` one for each level of a
    lottery, the dense network's first. ``validation`` counts that split's ``examples`` and ``classes``, where
    each example has one class. ``stage_seconds`` is the wall time of all replicates' work in the process that
    ended the trial, by what it was (see `stage_clock`), ``epochs_alone`` what the trial would have trained
    from an empty store. ``trained_with`` names what the networks were trained with, ``failed`` the reason of
    a trial that failed, in a line. ``versions``, of Python and of the packages that a result
    depends on, are filled in when it is written.
    """

    key: str
    metrics: dict[str, Any]
    replicates: list[dict[str, Any]] = field(default_factory=list)
    layers: dict[str, dict[str, Any]] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    dense: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    levels: list[dict[str, Any]] = field(default_factory=list)
    validation: dict[str, int] = field(default_factory=dict)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    epochs_alone: float | None = None
    trained_with: list[str] = field(default_factory=list)
    failed: str | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def final_metrics(self) -> dict[str, Any]:
        """Return what the trial's last step returned."""
        return {**self.metrics, **({"failed": self.failed} if self.failed else {}), "final": True}


_as_data: TypeAdapter[TrialResult] = TypeAdapter(TrialResult)


def read_result(path: Place) -> TrialResult | None:
    """Read a result.json; None where there is none, or a damaged one."""
    try:
        return _as_data.validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def result_of(config: TrialConfig) -> TrialResult | None:
    """Read the result of a trial that has ended; None while it has not."""
    return read_result(TrialPaths.of(config).result)


def write_result(config: TrialConfig, result: TrialResult) -> None:
    """Write the result of a trial that came to its end into the trial's folder, whole or not at all."""
    path = TrialPaths.of(config).result
    path.parent.mkdir(parents=True, exist_ok=True)
    versions = {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}}
    write_json(path, asdict(replace(result, versions=versions)))


def write_failed(config: TrialConfig, reason: str) -> None:
    """Write why a trial failed, unless another worker has brought it to its end."""
    finished = result_of(config)
    if finished is None or finished.failed:
        write_result(config, TrialResult(config.key, {}, failed=reason))


def averaged(replicates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average every metric over the replicates, with ``_std``, the sample standard deviation (0 for one), of
    the measured ones.

    A metric that some replicates lack is left out: a layer may be decomposed in one and stay dense in
    another.
    """
    means: dict[str, Any] = {}
    for name in (n for n in replicates[0] if all(n in replicate for replicate in replicates)):
        values = [replicate[name] for replicate in replicates]
        # equal values stay as they are: a parameter count stays an integer
        means[name] = values[0] if len(set(values)) == 1 else statistics.fmean(values)
        if name.startswith(_SPREAD):
            means[f"{name}_std"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return means


def in_epochs(steps: int, steps_per_epoch: int) -> float:
    """Express optimiser steps in epochs: a whole number where they are whole."""
    return steps // steps_per_epoch if steps % steps_per_epoch == 0 else steps / steps_per_epoch
