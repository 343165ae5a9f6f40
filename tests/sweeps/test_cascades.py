"""Sweeps of cascades: as many steps as the search says, each first step trained once."""

from pathlib import Path
from typing import Any

import pytest

from sweeps import StudyRecord, Sweep, SweepError
from sweeps.search.dry_run import dry_run_text
from sweeps.search.epochs import epochs_if_alone, epochs_trained, forecast
from sweeps.search.prepare import prepare
from tests.sweeps.studies import digits, run

RETRAINED = {"recalibrate_bn": 0, "retrain_epochs": 1}


def cascades(**keys: Any) -> dict[str, Any]:
    """A grid of two methods in one step and in three, down to an eighth; ``keys`` replace its keys."""
    return digits(
        **{
            "compression": {"method": "alds", **RETRAINED},
            "parameters": {
                "compression.method": {"values": ["alds", "magnitude"]},
                "compression.cascade": {"values": [1, 3]},
            },
            "budget": {"keep_ratio": 0.125},
            "method": "grid",
            "run_cap": 4,
            **keys,
        }
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return run(cascades(), tmp_path_factory.mktemp("cascades"))


def test_the_number_of_steps_is_searched(study: StudyRecord) -> None:
    prepared = prepare(Sweep.from_data(cascades()))
    assert [trial.outcome for trial in study.trials] == ["complete"] * 4
    for trial in study.trials:
        cascade = trial.params["compression.cascade"]
        assert trial.metrics["compress/params_kept"] == pytest.approx(0.125, abs=0.01)
        assert trial.metrics["epoch"] == 1 and len(trial.history) == 1
        assert trial.metrics["step"] == (1 + cascade) * 9  # of 1079 images in batches of 128
    need = forecast(prepared).need
    # the dense network once, and of each method one step and three
    assert (need.shared, need.alone) == (9, 2 * (2 + 4))
    assert (epochs_trained(study), epochs_if_alone(prepared, study)) == (9, 12)
    told = dry_run_text(prepared).splitlines()
    assert "cascade: 3 steps, keep_ratio 0.5, 0.25, 0.125" in told
    assert told[-1] == "epochs: 9 with nothing trained twice, 12 if each trial stood alone"


def test_steps_by_count_and_by_multiply_adds() -> None:
    def line(**budget: Any) -> str:
        compression = {"method": "alds", "cascade": 2, **RETRAINED}
        prepared = prepare(Sweep.from_data(digits(budget=budget, compression=compression)))
        return next(line for line in dry_run_text(prepared).splitlines() if line.startswith("cascade"))

    # of 64 * 300 + 300 * 100 + 100 * 10 = 50200 weights
    assert line(parameters=5020) == "cascade: 2 steps, parameters 15875, 5020"
    assert line(flops_ratio=0.25) == "cascade: 2 steps, flops_ratio 0.5, 0.25"


def test_one_step_has_no_line_and_a_screening_no_searched_cascade(tmp_path: Path) -> None:
    assert "cascade" not in dry_run_text(prepare(Sweep.from_data(digits())))
    with pytest.raises(SweepError, match=r"compression\.cascade is searched"):
        prepare(Sweep.from_data(cascades(screen={"trials": 9}, method="random")))
