"""A study's trials by method and settings, each a curve over how small or fast its networks are."""

import statistics
from dataclasses import dataclass
from typing import Any, Literal

from sweeps.report.drawing.wording import method_of, plain, quality_of, setting_of, value_of
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.sweep_file.space import setting
from trainables.metric_names import FLOPS_KEPT, LATENCY_MS, PARAMS_KEPT

METHOD, CONTROL = "compression.method", "compression.control"
HOW_MUCH = ("budget.keep_ratio", "budget.flops_ratio", "budget.parameters", "budget.latency_ratio")

Gain = Literal["compression", "theoretical speed-up", "measured speed-up"]
"""How many times fewer parameters, fewer multiply-adds and less time than the dense network's."""


@dataclass(frozen=True)
class Tradeoff:
    """Trials that differ in their budget and in nothing else, the largest networks first."""

    label: str
    trials: tuple[TrialRecord, ...]

    def at(self, budget: Any, record: StudyRecord) -> TrialRecord | None:
        """Return the trial with this budget, the best of several."""
        quality = quality_of(record)
        goal = next(o for o in (*record.objectives, *record.measured) if o.name == quality)
        there = [t for t in self.trials if budget_of(record, t) == budget]
        return max(there, key=lambda t: goal.gain(value_of(record, t, quality) or 0.0), default=None)


def tradeoffs(record: StudyRecord) -> list[Tradeoff]:
    """Return a study's complete trials and baselines by method and, on a grid, what else was searched.

    On a grid, whose trials come in no order, methods are sorted by name; elsewhere they come in the order of
    their first trials. Empty where all have one budget.
    """
    quality = quality_of(record)
    found: dict[str, list[TrialRecord]] = {}
    for trial in (*record.complete, *(t for t in record.baselines if t.outcome == "complete")):
        if PARAMS_KEPT in trial.metrics and value_of(record, trial, quality) is not None:
            found.setdefault(_label(record, trial), []).append(trial)
    if len({budget_of(record, t) for trials in found.values() for t in trials}) < 2 or not record.dense:
        return []
    return [
        Tradeoff(label, tuple(sorted(trials, key=lambda t: -t.metrics[PARAMS_KEPT])))
        for label, trials in (sorted(found.items()) if on_a_grid(record) else found.items())
    ]


def on_a_grid(record: StudyRecord) -> bool:
    """Tell whether the study walked through a grid, so that its trials differ in what the grid says alone."""
    return record.sweep.get("method") == "grid"


def _label(record: StudyRecord, trial: TrialRecord) -> str:
    if not trial.params and trial.key.startswith("baseline-"):
        return method_of(trial)
    control = setting_of(record, trial, CONTROL)
    rest = [
        f"{setting(name).rpartition('.')[2]} {plain(value)}"
        for name, value in trial.params.items()
        if on_a_grid(record) and setting(name) not in (METHOD, CONTROL, *HOW_MUCH)
    ]
    controls = [] if control in (None, "none") else [str(control)]
    return ", ".join([str(setting_of(record, trial, METHOD)), *controls, *rest])


def budget_of(record: StudyRecord, trial: TrialRecord) -> tuple[str, Any]:
    """Return the key of a trial's budget and its value."""
    given = ((key, setting_of(record, trial, key)) for key in HOW_MUCH)
    return next(((key, value) for key, value in given if value is not None), ("", None))


def gains(record: StudyRecord, trial: TrialRecord) -> dict[Gain, float]:
    """Return how many times smaller and faster than the dense network a trial's network is.

    The time of both is measured on the machine that ran the trial; without multiply-adds or time of the dense
    network these are left out.
    """
    found: dict[Gain, float] = {"compression": 1 / trial.metrics[PARAMS_KEPT]}
    if trial.metrics.get(FLOPS_KEPT):
        found["theoretical speed-up"] = 1 / trial.metrics[FLOPS_KEPT]
    if trial.metrics.get(LATENCY_MS) and record.dense.get("latency_ms"):
        found["measured speed-up"] = record.dense["latency_ms"] / trial.metrics[LATENCY_MS]
    return found


def mean(values: tuple[float, ...]) -> float:
    """Return the mean over replicates."""
    return statistics.fmean(values)
