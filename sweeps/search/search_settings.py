"""How often a trial reports, and whether sampler, objectives and early stopping fit what is searched."""

from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.samplers import BaseSampler

from sweeps.errors import SweepError
from sweeps.search import samplers
from sweeps.sweep_file.keys import EarlyTerminate, Screen, SweepFile
from sweeps.sweep_file.space import Space, setting
from sweeps.sweep_file.sweep import Sweep
from sweeps.sweep_file.yaml_file import Where
from trainables.metric_names import TRAIN_LOSS
from trainables.recipes import RECIPES

_NOT_SCREENED = (
    "task.",
    "training.",
    "budget.",
    "compression.retrain_epochs",
    "compression.cascade",
    "compression.distillation",
)
"""Settings about which a score before retraining says nothing, or the same each time: smaller is worse."""


@dataclass(frozen=True)
class Reports:
    """The ``most`` that a trial may make, one for each ``unit`` (a plural), as the sweep's ``key`` says."""

    unit: str
    key: str
    most: int


def reports_of(sweep: Sweep) -> Reports:
    """Return the reports of a sweep's trials: epochs of a recipe's closing training, levels of a lottery."""
    reported = RECIPES[sweep.file.trainable].reports
    first = max(sweep.values_of(reported.first)) if reported.first else 0
    key = reported.first if reported.first and first else reported.key
    return Reports(reported.unit, key, int(max(sweep.values_of(key))))


def check(
    file: SweepFile, where: Where, sampler: Callable[[int], BaseSampler], space: Space, reports: Reports
) -> None:
    """Check sampler, objectives and early stopping. Raises `SweepError`, its place from ``where``."""
    under_a_value = [name for name in space.conditions if name in space.distributions]
    if file.method == "grid" and under_a_value:
        name = under_a_value[0]
        raise SweepError(
            f"{where(['method'])}: a grid searches every parameter in every trial, "
            f"and {name} stands under a value of "
            f"{space.conditions[name].parent}; hold it at one value, use another sampler, or a sweep for "
            "each value."
        )
    try:
        _draw(file, sampler, space)
    except (TypeError, ValueError) as error:
        place = where(["sampler_options" if file.sampler_options else "method"])
        raise SweepError(f"{place}: {str(error).rstrip('.')}.") from error
    named = {
        **{metric.name: "metric" for metric in file.objectives},
        **{constraint.metric: "constraints" for constraint in file.constraints},
    }
    if reports.most < 1 and TRAIN_LOSS in named:
        raise SweepError(
            f"{where([named[TRAIN_LOSS]])}: train/loss is that of the {reports.unit}, and {reports.key} is 0."
        )
    if file.screen and (sentence := _screens_wrongly(file, file.screen, space)):
        raise SweepError(f"{where(['screen'])}: {sentence}")
    if file.early_terminate and (sentence := _stops_wrongly(file.early_terminate, reports)):
        raise SweepError(f"{where(['early_terminate'])}: {sentence}")


def _screens_wrongly(file: SweepFile, screen: Screen, space: Space) -> str | None:
    if not RECIPES[file.trainable].compresses_trained:
        return (
            "screen judges what is made of the trained dense network, "
            f"and trainable {file.trainable} compresses another."
        )
    if file.method == "grid":
        return "a grid visits every point; leave screen out, or use another sampler."
    if not space.distributions:
        return "nothing is searched that could be screened; give per_layer or parameters."
    for name in map(setting, space.distributions):
        if name.startswith(_NOT_SCREENED):
            return (
                f"screen compares networks of one size made from one dense network, before they are "
                f"retrained; {name} is searched; leave one out."
            )
    if screen.trials < file.run_cap:
        return f"screen.trials is {screen.trials}, and run_cap {file.run_cap} of them are to be trained."
    return None


def _draw(file: SweepFile, sampler: Callable[[int], BaseSampler], space: Space) -> None:
    """Draw once for nothing: Optuna looks at some options only then."""
    with samplers.quiet():
        space.ask(
            optuna.create_study(sampler=sampler(0), directions=[metric.goal for metric in file.objectives])
        )


def _stops_wrongly(early: EarlyTerminate, reports: Reports) -> str | None:
    given = f"and {reports.key} is {reports.most}."
    if reports.most < 2:
        return f"early_terminate stops trials between {reports.unit}, {given}"
    if early.min_iter >= reports.most:
        return f"nothing is stopped within the first {early.min_iter} {reports.unit} (min_iter), {given}"
    if early.max_iter is not None and early.max_iter < reports.most:
        return f"every trial would be stopped after {early.max_iter} {reports.unit} (max_iter), {given}"
    return None
