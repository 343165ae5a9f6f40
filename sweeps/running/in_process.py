"""The study's trials run one after the other in this very process.

For a debugger, a notebook, or a machine without Ray.
"""

import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import TrialScheduler

from sweeps.running.conductor import Conductor, TrialToRun
from trainables import Trial, TryAgain

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Name:
    """All that Ray's schedulers ask of a trial when none is ever paused."""

    trial_id: str

    @property
    def config(self) -> dict[str, Any]:
        """Return which trial it is, where Ray's schedulers look for a Tune trial's configuration."""
        return {"trial": {"key": self.trial_id}}


class _Controller:
    """All that they ask of Tune: which other trials wait for their turn."""

    def get_live_trials(self) -> list[_Name]:
        """Return no other trial: one runs at a time."""
        return []


def run(conductor: Conductor, scheduler: TrialScheduler) -> None:
    """Run trials in order until the study is done.

    The scheduler that stops early is the one that Ray would use.
    """
    while (to_run := _next(conductor)) is not None:
        try:
            conductor.end(to_run.key, _run_one(to_run, conductor, scheduler))
        except TryAgain as error:
            _log.warning("Trial %s was cut short: %s", to_run.key, error)
            conductor.died(to_run.key)


def _next(conductor: Conductor) -> TrialToRun | None:
    while conductor.pause:
        time.sleep(conductor.pause)
    return conductor.next()


def _run_one(to_run: TrialToRun, conductor: Conductor, scheduler: TrialScheduler) -> dict[str, Any]:
    """Run a trial to its own end or the scheduler's, and return its last metrics."""
    name: Any = _Name(to_run.key)
    controller: Any = _Controller()
    scheduler.on_trial_add(controller, name)
    with contextlib.closing(
        Trial(to_run.config)
    ) as trial:  # what it was training is free again, also when a person interrupts
        metrics = trial.step()
        while not metrics.get("final"):
            if scheduler.on_trial_result(controller, name, metrics) == TrialScheduler.STOP:
                return metrics
            conductor.report(to_run.key, metrics)
            metrics = trial.step()
    if not metrics.get("failed"):
        scheduler.on_trial_complete(controller, name, metrics)
    return metrics
