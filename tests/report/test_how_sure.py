"""How sure the report says its best is, where it was picked among many and where it was not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from sweeps import StudyRecord
from sweeps.report import certainty

from .studies import study_record

ACCURACY = "val/accuracy"
OWN = (0.90, 0.91, 0.905)


def reaching(directory: Path, values: Mapping[str, Sequence[float]]) -> StudyRecord:
    """A study of these trials, a value a seed; trial 0 is the method's own answer."""
    record = study_record(directory, trials=4, replicates=3)
    trials = []
    for trial in record.trials:
        if trial.key in values:
            seeds = values[trial.key]
            metrics = {**trial.metrics, ACCURACY: fmean(seeds)}
            ends = tuple({"seed": seed, "metrics": {ACCURACY: value}} for seed, value in enumerate(seeds))
            trials.append(replace(trial, metrics=metrics, values=(fmean(seeds),), replicates=ends))
    return replace(record, trials=tuple(trials), own=trials[0], baselines=(), test={})


def against_own(record: StudyRecord) -> str:
    assert record.best is not None
    return certainty.against_own(record, record.best)


def test_the_best_of_many_is_not_more_than_chance_by_what_it_was_picked_by(tmp_path: Path) -> None:
    ahead = (0.915, 0.935, 0.925)
    alone = reaching(tmp_path, {"0": OWN, "1": ahead})
    assert "+2.00 points on validation, more than chance (p = " in against_own(alone)
    among = reaching(tmp_path, {"0": OWN, "1": ahead, "2": (0.88, 0.9, 0.89), "3": (0.9, 0.9, 0.9)})
    assert "+2.00 points on validation, by which it was picked among 4 trials (p = " in against_own(among)


def test_a_best_that_is_worse_than_the_own_answer_is_told_to_be(tmp_path: Path) -> None:
    others = {"1": (0.881, 0.89, 0.884), "2": (0.7, 0.71, 0.7), "3": (0.6, 0.6, 0.61)}
    record = reaching(tmp_path, {"0": OWN, **others})
    baseline = replace(record.trials[0], key="baseline-alds")
    record = replace(record, trials=record.trials[1:], baselines=(baseline,), own=baseline)
    assert "-2.00 points on validation, more than chance" in against_own(record)


@pytest.mark.parametrize(("seeds", "elsewhere"), [(3, "with other seeds"), (1, "on other examples")])
def test_what_the_standard_error_is_of_is_said(seeds: int, elsewhere: str, tmp_path: Path) -> None:
    values = {"0": OWN[:seeds], "1": (0.92, 0.931, 0.924)[:seeds], "2": (0.921, 0.93, 0.924)[:seeds]}
    record = reaching(tmp_path, values)
    best = record.best
    assert best is not None
    reading = {"seed": 0, "test/accuracy": 0.9, "right": {"val": {"examples": 360, "right": ""}}}
    record = replace(record, test={"best": {"key": best.key, "replicates": [reading]}})
    assert elsewhere in certainty.close_by(record)
