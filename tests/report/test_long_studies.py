"""A report of very many trials stays a page that a browser can show."""

import time
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import create_trial

from sweeps import Objective, StudyRecord, TrialRecord
from sweeps.report.trials import trial_table


def record_of(values: list[float]) -> StudyRecord:
    trials = tuple(TrialRecord(str(n), "complete", values=(v,)) for n, v in enumerate(values))
    study = optuna.create_study(direction="maximize")
    study.add_trials([create_trial(value=value) for value in values])
    objectives = (Objective("val/accuracy", "maximize"),)
    sweep = {"task": {"network": "mlp", "data": "digits"}}
    return StudyRecord(Path(), "s", objectives, len(values), trials, (), {}, None, {}, sweep, {}, study)


def test_of_thousands_of_trials_the_table_shows_the_best_and_the_latest_in_order() -> None:
    values = np.random.default_rng(0).random(4000).tolist()
    started = time.process_time()
    table = trial_table(record_of(values), {})
    assert time.process_time() - started < 2
    shown = [int(row.key) for row in table.rows]
    best = sorted(range(4000), key=lambda number: -values[number])
    assert shown == sorted(shown) and len(shown) == 1000
    assert {*best[:500], *range(3600, 4000)} <= set(shown)
    assert [row.key for row in table.rows if row.mark == "best"] == [str(best[0])]
    assert table.caption.endswith("000 trials the best and the latest are shown.")


def test_of_a_thousand_all_are_shown() -> None:
    table = trial_table(record_of([0.5] * 1000), {})
    assert len(table.rows) == 1000 and "are shown" not in table.caption
