"""The conductor tells the tracker what its trials do."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from sweeps.running.conductor import TrialToRun
from sweeps.tracking.tracker import Tracker


class TrackerObserver:
    """Opens a run when a trial begins (the same one again after a restart), logs its epochs, closes it at its end."""

    def __init__(self, tracker: Tracker):
        self._tracker = tracker

    def started(self, trial: TrialToRun) -> None:
        """The run's configuration is the trial's, with the parameters that were searched."""
        self._tracker.start(
            trial.key,
            {"trial": dataclasses.asdict(trial.config), "params": dict(trial.params)},
        )

    def reported(self, key: str, metrics: Mapping[str, Any]) -> None:
        """An epoch's metrics."""
        self._tracker.log(key, metrics)

    def ended(self, key: str, outcome: str, metrics: Mapping[str, Any], reason: str | None) -> None:
        """The last point, unless the trial failed before it had one, and the summary."""
        if "step" in metrics:
            self._tracker.log(key, metrics)
        self._tracker.finish(key, metrics, failed=reason)
