"""What stops trials early, and what it leaves alone."""

from dataclasses import dataclass
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from sweeps.search import schedulers
from sweeps.sweep_file.keys import EarlyTerminate
from sweeps.sweep_file.objectives.metric import Metric


@dataclass(frozen=True)
class Running:
    """What a scheduler asks of a Tune trial."""

    trial_id: str

    @property
    def config(self) -> dict[str, Any]:
        return {"trial": {"key": self.trial_id}}


class Tune:
    """What it asks of Tune."""

    def get_live_trials(self) -> list[Running]:
        return []


@pytest.mark.parametrize("kind", ["asha", "median"])
def test_a_bad_trial_is_stopped_and_a_bad_baseline_is_not(kind: str) -> None:
    early = EarlyTerminate.model_validate({"type": kind, "min_iter": 1, "eta": 2})
    objective = Metric.model_validate({"name": "val/accuracy", "goal": "maximize"})
    scheduler: Any = schedulers.build(early, objective, 4, lambda key: key.startswith("baseline-"))
    tune = Tune()

    def is_stopped(key: str, accuracy: float) -> bool:
        trial = Running(key)
        scheduler.on_trial_add(tune, trial)
        results = ({"epoch": epoch, "val/accuracy": accuracy} for epoch in (1, 2, 3))
        return any(
            scheduler.on_trial_result(tune, trial, result) == TrialScheduler.STOP for result in results
        )

    assert not any(is_stopped(key, accuracy) for key, accuracy in (("0", 0.8), ("1", 0.85), ("2", 0.9)))
    assert not is_stopped("baseline-svd", 0.1)
    assert is_stopped("3", 0.1)
