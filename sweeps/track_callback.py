"""Ray Tune tells the tracker what its trials do."""

from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from sweeps.track import Tracker


class TrackerCallback(tune.Callback):
    """Runs in the driver; a trial that Tune starts again after its worker's death goes on with the run it has."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Open the trial's run with its configuration and the parameters that were searched."""
        self._tracker.start(_key(trial), {"trial": trial.config["trial"], "params": trial.config["params"]})

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any) -> None:
        """Log what the trial reported; a trial that failed before its first step has no step and nothing to log."""
        if "step" in result:
            self._tracker.log(_key(trial), result)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Close the run: the trial reached its end, was stopped early, or said why it failed."""
        self._tracker.finish(_key(trial), trial.last_result, failed=trial.last_result.get("failed"))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Close the run of a trial that Tune gave up."""
        error = trial.get_error()
        self._tracker.finish(_key(trial), trial.last_result, failed=str(error).strip().splitlines()[-1] if error else "the trial was lost")


def _key(trial: Trial) -> str:
    return str(trial.config["trial"]["key"])
