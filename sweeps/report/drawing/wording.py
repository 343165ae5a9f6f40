"""The wording of metric names and numbers in the report."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from sweeps.study.record import Outcome, StudyRecord, TrialRecord
from sweeps.sweep_file.space import setting
from trainables.metric_names import (
    BYTES,
    BYTES_KEPT,
    COMPRESSION,
    DENSITY,
    DIVERGENCE,
    FLOPS_KEPT,
    GRADIENT_NORM,
    INT8_DIVERGENCE,
    LARGEST_ERROR,
    LATENCY_KEPT,
    LATENCY_MS,
    MULTIPLY_ADDS,
    PARAMS,
    PARAMS_KEPT,
    TRAIN_LOSS,
)
from trainables.task.metrics import is_share as is_built_in_share
from trainables.task.metrics import title_of

_NAMES = {
    TRAIN_LOSS: "Training loss",
    GRADIENT_NORM: "Gradient norm",
    PARAMS: "Parameters",
    PARAMS_KEPT: "Parameters kept",
    BYTES: "Size in bytes",
    BYTES_KEPT: "Size kept",
    MULTIPLY_ADDS: "Multiply-adds",
    FLOPS_KEPT: "Multiply-adds kept",
    LATENCY_MS: "Latency",
    LATENCY_KEPT: "Latency kept",
    DENSITY: "Weights kept",
    LARGEST_ERROR: "Largest layer error",
    DIVERGENCE: "Divergence before retraining",
    INT8_DIVERGENCE: "Divergence of int8",
}
_SPLITS = {"val": "Validation", "test": "Test"}
OUTCOMES: dict[Outcome, str] = {
    "complete": "complete",
    "stopped_early": "stopped early",
    "failed": "failed",
    "infeasible": "infeasible",
    "running": "running",
    "waiting": "waiting",
}
NONE = "–"  # noqa: RUF001  (an empty cell)


def name_of(metric: str) -> str:
    """Return the metric's name for a reader; the metric itself when it is not one of ours."""
    if metric in _NAMES:
        return _NAMES[metric]
    split, _, own = metric.partition("/")
    return f"{_SPLITS[split]} {title_of(own) or own}" if split in _SPLITS and own else metric


def lower_name(metric: str) -> str:
    """Return the metric's name inside a sentence."""
    name = name_of(metric)
    return name if name == metric else name[0].lower() + name[1:]


def unit_of(metric: str) -> str:
    """Return the unit that `number` leaves to the column's head.

    It is per cent for shares and accuracies, ms for latencies.
    """
    if is_share(metric):
        return "%"
    return "ms" if metric.endswith("_ms") else ""


def titled(metric: str) -> str:
    """Return name and unit, as the title of an axis or the head of a column."""
    return ", ".join(part for part in (name_of(metric), unit_of(metric)) if part)


def is_share(metric: str) -> bool:
    """Tell whether the metric lies between 0 and 1 and is shown in per cent."""
    name = metric.removesuffix("_std")
    return is_built_in_share(name) or name.endswith(("_kept", "density"))


def scaled(metric: str, value: float) -> float:
    """Return the value in the unit that it is shown in."""
    return 100 * value if is_share(metric) else value


def number(metric: str, value: float | None) -> str:
    """Write the value without its unit, with as many digits as can be told apart."""
    if value is None or not math.isfinite(value):
        return NONE
    if is_share(metric):
        return f"{100 * value:.2f}"
    return compact(value)


def difference(metric: str, value: float) -> str:
    """Write a difference of two values of the metric with its sign, of shares in points, without a unit."""
    return f"{scaled(metric, value):+.2f}" if is_share(metric) else f"{value:+.3g}"


def points_of(metric: str) -> str:
    """Return what follows `difference` in running text."""
    return " points" if is_share(metric) else ""


def percent(share: float) -> str:
    """Write a share in per cent without its unit, as short as the papers write a density.

    As 100, 51.2, 8.6, 0.5.
    """
    return f"{100 * share:.1f}".removesuffix(".0") if share >= 0.01 else f"{100 * share:.2g}"


def mean_and_spread(metric: str, mean: float | None, spread: float | None) -> str:
    """Write the mean, and one standard deviation where there is any."""
    text = number(metric, mean)
    return text if not spread or mean is None else f"{text} ± {number(metric, spread)}"


def compact(value: float) -> str:
    """Write whole numbers with thin spaces between thousands, others with four significant digits."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:.4g}"


def with_unit(metric: str, value: float | None) -> str:
    """Write the value with its unit, for running text."""
    text = number(metric, value)
    return (
        text if text == NONE or not unit_of(metric) else f"{text}\N{NARROW NO-BREAK SPACE}{unit_of(metric)}"
    )


def plain(value: Any) -> str:
    """Write a parameter's value, or any entry of a sweep file, as text."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else NONE
    if isinstance(value, int | float):
        return compact(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    return str(value)


def short_names(params: Iterable[str]) -> dict[str, str]:
    """Return parameters' names for a chart: the layer's alone where all are the same thing of a layer."""
    params = list(params)
    layers = {name: name.rpartition("/")[0] for name in params}
    alike = len({name.rpartition("/")[2] for name in params}) == 1 and all(layers.values())
    return layers if alike else {name: name for name in params}


def count(amount: int, noun: str) -> str:
    """Write a number of things: ``1 trial``, ``2 trials``."""
    return f"{amount} {noun}{'' if amount == 1 else 's'}"


def value_of(record: StudyRecord, trial: TrialRecord, metric: str) -> float | None:
    """Return a trial's finite value of a metric or objective, otherwise None."""
    value = trial.metrics.get(metric)
    if value is None and trial.values is not None:
        value = dict(zip((o.name for o in record.objectives), trial.values, strict=True)).get(metric)
    return float(value) if value is not None and math.isfinite(value) else None


def values_of(trial: TrialRecord, metric: str) -> tuple[float, ...]:
    """Return a trial's metric of every replicate, in the unit shown; its mean where these do not tell."""
    told: list[Mapping[str, Any]] = [one["metrics"] for one in trial.replicates if metric in one["metrics"]]
    return tuple(scaled(metric, one[metric]) for one in told) or (scaled(metric, trial.metrics[metric]),)


def has_masks(record: StudyRecord) -> bool:
    """Tell whether the study's networks are sparse ones.

    Weights are set to zero in these, not layers replaced by smaller ones.
    """
    return any(DENSITY in trial.metrics for trial in (*record.trials, *record.baselines))


def quality_of(record: StudyRecord) -> str:
    """Return the metric that says how good a network is.

    It is the first objective that is not a cost, else the task's primary one.
    """
    return next(
        (o.name for o in record.objectives if not o.name.startswith(COMPRESSION)), record.measured[0].name
    )


def setting_of(record: StudyRecord, trial: TrialRecord, name: str) -> Any:
    """Return what a setting such as ``compression.method`` was in a trial, or None.

    It was searched, fixed among the parameters, or stands in its section.
    """
    for searched, value in trial.params.items():
        if searched.startswith(name) and setting(searched) == name:
            return value
    fixed = (record.sweep.get("parameters") or {}).get(name)
    if isinstance(fixed, Mapping) and "value" in fixed:
        return fixed["value"]
    section: Any = record.sweep
    for part in name.split("."):
        section = section.get(part) if isinstance(section, Mapping) else None
    return section


def method_of(trial: TrialRecord) -> str:
    """Return the method's name of a baseline, otherwise ``trial 7``."""
    return trial.key.removeprefix("baseline-") if trial.key.startswith("baseline-") else f"trial {trial.key}"
