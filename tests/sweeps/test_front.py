"""The front is what comparing every pair of trials gives, and takes a moment for thousands of them."""

import time
from pathlib import Path
from typing import Literal

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from sweeps import Objective, StudyRecord, TrialRecord
from sweeps.study.rows.row import ROOT

GOALS: tuple[Literal["maximize", "minimize"], ...] = ("maximize", "minimize", "maximize")


def record_of(values: list[tuple[float, ...]]) -> StudyRecord:
    """A study in which every third trial has a row before it that its driver left behind."""
    objectives = tuple(Objective(f"m{index}", goal) for index, goal in enumerate(GOALS[: len(values[0])]))
    rows, trials = [], []
    for index, found in enumerate(values):
        root = len(rows)
        if index % 3 == 0:
            rows.append(create_trial(state=TrialState.FAIL))
        rows.append(create_trial(values=list(found), user_attrs={ROOT: root}))
        trials.append(TrialRecord(str(root), "complete", values=found))
    study = optuna.create_study(directions=[o.goal for o in objectives])
    study.add_trials(rows)
    return StudyRecord(Path(), "s", objectives, len(values), tuple(trials), (), {}, None, {}, {}, {}, study)


def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    gains = [(a, b) if goal == "maximize" else (b, a) for a, b, goal in zip(one, other, GOALS, strict=False)]
    return all(a >= b for a, b in gains) and any(a > b for a, b in gains)


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_it_holds_whom_no_other_beats(objectives: int) -> None:
    dice = np.random.default_rng(objectives)
    for _ in range(8):
        values = [
            tuple(map(float, row)) for row in dice.integers(0, 7, (40, objectives))
        ]  # many of them equal
        record = record_of(values)
        expected = [
            t for t in record.trials if not any(beats(o.values or (), t.values or ()) for o in record.trials)
        ]
        assert list(record.front) == expected


def test_a_study_without_a_complete_trial_has_none() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    objectives = (Objective("a", "maximize"), Objective("b", "minimize"))
    assert StudyRecord(Path(), "s", objectives, 1, (), (), {}, None, {}, {}, {}, study).front == ()


def test_thousands_of_trials_take_a_moment() -> None:
    heights = np.random.default_rng(0).random((4000, 2))
    record = record_of([(float(x), float(x * x + 0.001 * y)) for x, y in heights])
    began = time.monotonic()
    assert len(record.front) > 500
    assert time.monotonic() - began < 20  # comparing each pair took minutes
