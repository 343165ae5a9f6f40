"""Whether sampler, objectives and early stopping fit what is searched, told before anything is run."""

from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution

from sweeps.errors import SweepError
from sweeps.search import samplers
from sweeps.spec.keys import EarlyTerminate, SweepFile

Where = Callable[[Sequence[str | int]], str]


def check(file: SweepFile, where: Where, space: Mapping[str, BaseDistribution], retrain_epochs: int) -> None:
    """Raises `SweepError`, its place from ``where``; ``retrain_epochs`` is the most that a trial may have."""
    try:
        _draw(file, space)
    except (TypeError, ValueError) as error:
        place = where(["sampler_options" if file.sampler_options else "method"])
        raise SweepError(f"{place}: {str(error).rstrip('.')}.") from error
    if retrain_epochs < 1 and any(metric.name == "train/loss" for metric in file.objectives):
        raise SweepError(f"{where(['metric'])}: train/loss is that of retraining, and compression.retrain_epochs is 0.")
    if file.early_terminate and (sentence := _stops_wrongly(file.early_terminate, retrain_epochs)):
        raise SweepError(f"{where(['early_terminate'])}: {sentence}")


def _draw(file: SweepFile, space: Mapping[str, BaseDistribution]) -> None:
    """Draws once for nothing: Optuna looks at some options only then."""
    sampler = samplers.build(file.method, file.sampler_options, space, file.seed, 0)
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        optuna.create_study(sampler=sampler, directions=[metric.goal for metric in file.objectives]).ask(dict(space))
    finally:
        optuna.logging.set_verbosity(before)


def _stops_wrongly(early: EarlyTerminate, retrain_epochs: int) -> str | None:
    if retrain_epochs < 2:
        return f"early_terminate stops trials between retraining epochs, and compression.retrain_epochs is {retrain_epochs}."
    if early.min_iter >= retrain_epochs:
        return f"nothing is stopped before epoch {early.min_iter} (min_iter), and compression.retrain_epochs is {retrain_epochs}."
    if early.max_iter is not None and early.max_iter < retrain_epochs:
        return f"every trial would be stopped at epoch {early.max_iter} (max_iter), and compression.retrain_epochs is {retrain_epochs}."
    return None
