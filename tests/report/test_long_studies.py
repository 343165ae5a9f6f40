"""A report of very many trials stays a page that a browser can show."""

import time
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from sweeps import Objective, StudyRecord, TrialRecord
from sweeps.report import write_report
from sweeps.report.trials import trial_table

from .chromium import Page

KEPT = {"compress/params_kept": 0.1}


def record_of(values: list[float], parameters: int = 0) -> StudyRecord:
    dice = np.random.default_rng(1)
    space = {f"layer{n}/scale": FloatDistribution(0, 1) for n in range(parameters)}
    drawn = [dict(zip(space, dice.random(parameters).tolist(), strict=True)) for _ in values]
    trials = tuple(
        TrialRecord(str(n), "complete", params, (value,), {"val/accuracy": value, **KEPT})
        for n, (value, params) in enumerate(zip(values, drawn, strict=True))
    )
    study = optuna.create_study(direction="maximize")
    rows = zip(values, drawn, strict=True)
    study.add_trials([create_trial(value=v, params=params, distributions=space) for v, params in rows])
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


def test_a_report_of_five_thousand_trials_is_small_and_holds_them_all(page: Page, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(5000).tolist()
    report = tmp_path / "report.html"
    write_report(record_of(values, parameters=10), report)
    assert report.stat().st_size < 5e6
    page.open(report)
    assert page.complaints == []
    drawn = page.run("[...document.querySelectorAll('#history .points')].map(group => group.children.length)")
    assert 1000 < sum(drawn) <= 1600
    lines = page.run("unpacked('trials-csv')").splitlines()
    column = lines[0].split(",").index("val/accuracy")
    assert [float(line.split(",")[column]) for line in lines[1:]] == values
    best = page.run("figures.history.data.find(trace => trace.name === 'best so far').y")
    assert best == sorted(best) and abs(best[-1] - 100 * max(values)) < 1e-3


def test_of_a_thousand_all_are_shown() -> None:
    table = trial_table(record_of([0.5] * 1000), {})
    assert len(table.rows) == 1000 and "are shown" not in table.caption
