"""The observer through which the tracker hears what trials do."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from sweeps.running.conductor import TrialToRun
from sweeps.tracking.tracker import Tracker


class TrackerObserver:
    """An observer that keeps a trial's W&B run.

    It opens a run when a trial begins (the same one again after a restart), logs its epochs, and closes it at
    its end.
    """

    def __init__(self, tracker: Tracker):
        self._tracker = tracker

    def started(self, trial: TrialToRun) -> None:
        """Open the trial's run, with its configuration and the parameters that were searched."""
        self._tracker.start(
            trial.key,
            {"trial": dataclasses.asdict(trial.config), "params": dict(trial.params)},
        )

    def reported(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Log an epoch's metrics."""
        self._tracker.log(key, metrics)

    def ended(self, key: str, outcome: str, metrics: Mapping[str, Any], reason: str | None) -> None:
        """Close the run with its last point, unless it failed before it had one, and its summary."""
        if "step" in metrics:
            self._tracker.log(key, metrics)
        self._tracker.finish(key, metrics, failed=reason)
