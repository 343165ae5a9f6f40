"""The observer through which the tracker hears what trials do."""

from collections.abc import Mapping
from typing import Any

from sweeps.report.headline import headline
from sweeps.running.conductor import TrialToRun
from sweeps.study.paths import StudyPaths
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.tracking.beginning import beginning, dense_key, without_secrets
from sweeps.tracking.tracker import Tracker


class TrackerObserver:
    """An observer that keeps a trial's W&B run.

    It opens a run when a trial begins (the same one again after a restart), logs its epochs, and closes it at
    its end.
    """

    def __init__(self, tracker: Tracker, paths: StudyPaths, study_id: str):
        self._tracker, self._paths, self._study_id = tracker, paths, study_id

    def started(self, trial: TrialToRun) -> None:
        """Open the trial's run, with its configuration and the parameters that were searched."""
        result = self._paths.result(trial.key).resolve()  # the next driver may be started elsewhere
        run = beginning(trial.key, trial.config, trial.params, self._study_id, str(result))
        self._tracker.start(trial.key, run)

    def reported(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Log an epoch's metrics."""
        self._tracker.log(key, metrics)

    def ended(self, key: str, outcome: str, metrics: Mapping[str, Any], reason: str | None) -> None:
        """Close the run with its last point, unless it failed before it had one, and its summary."""
        self._tracker.finish(key, outcome, metrics, failed=reason)

    def best(self, record: StudyRecord, trial: TrialRecord) -> None:
        """Show the best network as a run of its own, with the network as an artifact."""
        run = {
            "name": "best",
            "job_type": "best",
            "tags": ["best"],
            "config": {
                "trial": trial.key,
                "run": f"{self._study_id}-{trial.key}",
                "params": without_secrets(trial.params),
            },
            "metric": record.measured[0].name,
            "goal": record.measured[0].goal,
            "dense": dense_key(trial.params),
            "result": str(self._paths.result(trial.key).resolve()),
            "notes": headline(record),
            "network": str(self._paths.best.resolve()),
        }
        self._tracker.start("best", run)
        figures = {n: v for n, v in record.figures(trial).items() if n not in ("step", "epoch")}
        self._tracker.finish("best", "complete", figures)

    def settle(self, record: StudyRecord) -> None:
        """Close the runs of trials that ended while their driver was being killed."""
        left = self._tracker.unfinished()
        for trial in (*record.trials, *record.baselines):
            if trial.key in left and trial.outcome in ("complete", "stopped_early", "failed"):
                self._tracker.finish(trial.key, trial.outcome, trial.metrics, failed=trial.reason)
