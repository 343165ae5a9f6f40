"""Ray Tune's schedulers that stop trials early, from the sweep file's ``early_terminate``."""

from collections.abc import Callable
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from sweeps.sweep_file.keys import EarlyTerminate
from sweeps.sweep_file.objectives.metric import Metric

_NEVER = 10**9


def build(
    early: EarlyTerminate | None, objective: Metric, reports: int, spared: Callable[[str], bool]
) -> TrialScheduler:
    """Build the scheduler, which counts reports.

    ``max_iter`` is ``reports``, the most of a trial, unless the file says otherwise.

    Trials whose key is ``spared`` are never stopped and never compared with.
    """
    if early is None:
        return FIFOScheduler()
    about = {
        "time_attr": "epoch",
        "metric": objective.name,
        "mode": "max" if objective.goal == "maximize" else "min",
    }
    if early.type == "median":
        # The rule would pause a trial that has too few others to be compared with; it shall go on instead.
        return _Median(
            spared,
            **about,
            grace_period=early.min_iter,
            min_samples_required=early.eta,
            hard_stop=True,
            min_time_slice=_NEVER,
        )
    return _Asha(
        spared,
        **about,
        max_t=early.max_iter or reports,
        grace_period=early.min_iter,
        reduction_factor=early.eta,
    )


class _Sparing:
    """Leaves spared trials alone; mixed into a scheduler of Ray's."""

    def __init__(self, spared: Callable[[str], bool], **options: Any):
        super().__init__(**options)
        self._spared = spared

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return Ray's decision on a trial, for a spared one to go on."""
        if self._spared(trial.config["trial"]["key"]):
            return str(TrialScheduler.CONTINUE)
        # Ignored: the scheduler that it is mixed into has the method
        return str(super().on_trial_result(controller, trial, result))  # type: ignore[misc]

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Note a trial's last value with Ray's scheduler, unless it is spared."""
        if not self._spared(trial.config["trial"]["key"]):
            super().on_trial_complete(controller, trial, result)  # type: ignore[misc]  # as above


class _Asha(_Sparing, ASHAScheduler):
    """Asynchronous successive halving (Li et al., MLSys 2020)."""


class _Median(_Sparing, MedianStoppingRule):
    """The median stopping rule (Golovin et al., KDD 2017, section 3.2.2)."""
