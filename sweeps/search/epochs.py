"""How many epochs a sweep trains when nothing is trained twice, and how many if each trial stood alone."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from sweeps.errors import Incompatible
from sweeps.search import samplers
from sweeps.search.prepare import Prepared
from sweeps.study.paths import StudyPaths
from sweeps.study.record import BASELINE, StudyRecord
from trainables.trials.epochs_needed import EpochsNeeded, epochs_needed

_BLIND = ("random", "qmc", "grid")
"""Samplers that draw the same whatever comes of it."""
_TRIES = 10  # draws for each trial wanted, until the search for feasible ones is given up


@dataclass(frozen=True)
class EpochForecast:
    """The epochs that the trials need.

    It is not ``exact`` where a sampler learns from results that nobody has yet: others stand in for it.
    """

    need: EpochsNeeded
    exact: bool


def forecast(prepared: Prepared) -> EpochForecast:
    """Forecast the epochs of the sweep's trials and baselines, from an empty store."""
    paths = StudyPaths(Path(prepared.sweep.file.name))
    configs = [prepared.trial_config(BASELINE + one.name, {}, paths) for one in prepared.baselines]
    with samplers.quiet():
        draws = _draws(prepared)
    configs += [prepared.trial_config(str(number), params, paths) for number, params in enumerate(draws)]
    return EpochForecast(
        epochs_needed(configs), prepared.sweep.file.method in _BLIND or not prepared.space.distributions
    )


def epochs_if_alone(prepared: Prepared, record: StudyRecord) -> float | None:
    """Return the epochs that a study's trials and baselines would have trained without each other.

    None where some were stopped before their end.
    """
    trials = [t for t in (*record.trials, *record.baselines) if t.outcome != "infeasible"]
    if any(t.outcome != "complete" for t in trials):
        return None
    paths = StudyPaths(record.directory)
    return epochs_needed(prepared.trial_config(t.key, t.params, paths) for t in trials).alone


def epochs_trained(record: StudyRecord) -> float:
    """Return the epochs that a study's trials and baselines trained, those that a crash lost included."""
    return sum(t.metrics.get("epochs_trained", 0) for t in (*record.trials, *record.baselines))


def format_epochs(epochs: float) -> str:
    """Write a count of epochs for people: a whole number without a point."""
    return f"{epochs:,.1f}".removesuffix(".0")


def _draws(prepared: Prepared) -> Sequence[Mapping[str, Any]]:
    """Return as many feasible draws as the study wants trials; fewer where they are not to be had."""
    if prepared.on_a_grid:
        values = [
            samplers.grid_values(name, distribution)
            for name, distribution in prepared.space.distributions.items()
        ]
        points = [
            dict(zip(prepared.space.distributions, point, strict=True))
            for point in itertools.product(*values)
        ]
        if len(points) == prepared.target:
            return [point for point in points if _is_feasible(prepared, point)]
    found = (draw for draw in _asked(prepared, _TRIES * prepared.target) if _is_feasible(prepared, draw))
    return list(itertools.islice(found, prepared.target))


def _asked(prepared: Prepared, count: int) -> Iterator[Mapping[str, Any]]:
    """Yield what the sampler asks first; where it learns from results, random draws from the same space."""
    file = prepared.sweep.file
    method, options = (file.method, file.sampler_options) if file.method in _BLIND else ("random", {})
    study = optuna.create_study()
    if prepared.first_trial:
        study.enqueue_trial(prepared.first_trial)
    for params in prepared.enqueued:
        study.enqueue_trial(params)
    for number in range(count):
        study.sampler = samplers.build(method, options, prepared.space.distributions, file.seed, number)
        trial = prepared.space.ask(study)
        yield trial.params
        study.tell(trial, 0.0)


def _is_feasible(prepared: Prepared, params: Mapping[str, Any]) -> bool:
    try:
        over = prepared.violation(params)
    except Incompatible:
        return False
    return over is None or over <= 0
