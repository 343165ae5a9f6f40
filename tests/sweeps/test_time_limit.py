"""After the time limit no trial begins, those under way end, the study says so and goes on."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import sweeps
from sweeps import Sweep, SweepError
from sweeps.running import driver, opening
from sweeps.running.conductor import Conductor, finished_result
from sweeps.search.prepare import prepare
from sweeps.study import storage
from sweeps.study.ledger import Ledger
from sweeps.study.paths import StudyPaths
from tests.sweeps.commands import Answer
from tests.sweeps.studies import digits, run

PARAMETERS = {"training.lr": {"min": 0.01, "max": 0.2}}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2h", 7200),
        ("30m", 1800),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("90s", 90),
        ("1d", 86400),
        ("1.5h", 5400),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_a_time_is_read_as_people_write_it(written: Any, seconds: float) -> None:
    assert Sweep.from_data(digits(time_limit=written)).file.seconds == seconds


@pytest.mark.parametrize(
    "written",
    ["two hours", "2 hours", "h", "", "1m1h", "-1h", "1.2.3h", 0, -5, True, [1], float("inf"), "0h"],
)
def test_another_time_is_refused(written: Any) -> None:
    with pytest.raises(
        SweepError, match=r"time_limit: a time as in 45m, 2h or 1h30m, or a number of seconds above 0, not "
    ):
        Sweep.from_data(digits(time_limit=written))


def test_a_limit_has_a_line_in_the_dry_run(tombola: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(json.dumps(digits(time_limit="2h")))
    assert "time limit: no new trial after 7,200 s\n" in tombola("validate", "s.yaml").stdout


def conductor(root: Path, clock: Callable[[], float], **keys: Any) -> Conductor:
    prepared, paths = (
        prepare(Sweep.from_data(digits(parameters=PARAMETERS, run_cap=5, **keys))),
        StudyPaths(root),
    )
    opening.begin(paths, prepared)
    study = storage.create(paths, "digits", None, ["maximize"])
    ledger = Ledger(
        study, prepared.space, prepared.sampler, prepared.violation, partial(finished_result, paths, prepared)
    )
    return Conductor(prepared, ledger, paths, prepared.target, [], clock)


def test_trials_under_way_end_after_the_limit_and_none_begins(tmp_path: Path) -> None:
    now = 1000.0
    tried = conductor(tmp_path, lambda: now, time_limit="1h")
    first, second = tried.next(), tried.next()
    assert first and second and not tried.is_over
    now += 3599
    third = tried.next()
    assert third
    now += 1
    assert tried.time_is_up and tried.next() is None and not tried.is_over
    for trial in (first, second):
        tried.end(trial.key, {"final": True, "val/accuracy": 0.5})
    assert not tried.is_over
    tried.died(third.key)  # its worker died: it waits for whoever goes on
    assert tried.next() is None and tried.is_over and not tried.done
    now += 1e6
    successor = conductor(tmp_path, lambda: now, time_limit="1h")
    again = successor.next()
    assert again and (again.key, again.params) == (third.key, third.params)


def test_baselines_do_not_begin_either(tmp_path: Path) -> None:
    now = 0.0
    tried = conductor(tmp_path, lambda: now, time_limit=10, baselines=["svd", "svd_energy"])
    assert tried.next()
    now = 10.0
    assert tried.next() is None


def test_a_search_that_finds_nothing_feasible_ends_at_its_limit(tmp_path: Path) -> None:
    ticks = iter(range(10_000))
    tried = conductor(tmp_path, lambda: float(next(ticks)), time_limit=20)
    tried._ledger._violation = lambda _: 1.0
    assert tried.next() is None and 15 < next(ticks) < 40


def an_hour_a_trial(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """A driver whose clock goes on by an hour with every trial that has ended."""
    monkeypatch.setattr(
        driver,
        "Conductor",
        partial(Conductor, clock=lambda: 3600.0 * len([*root.glob("trials/*/result.json")])),
    )


def test_a_study_stopped_at_its_limit_says_so_and_goes_on(
    tombola: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_hour_a_trial(monkeypatch, tmp_path / "runs" / "digits")
    (tmp_path / "s.yaml").write_text(json.dumps(digits(parameters=PARAMETERS, run_cap=3, time_limit="2h")))
    ended = tombola("run", "s.yaml", "--in-process")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "2 of 3 trials complete." in ended.stdout and "best found (trial" in ended.stdout
    assert (
        "The time limit of 2h was reached. Go on with: " in ended.stdout
        and "resume runs/digits --in-process\n" in ended.stdout
    )
    assert "more trials:" not in ended.stdout
    assert (
        "  stopped at its time limit; go on with: tombola resume runs/digits\n"
        in tombola("status", "runs/digits").stdout
    )
    assert json.loads(tombola("status", "runs/digits", "--json").stdout)["time_is_up"] is True
    assert "2h, reached with 2 of 3 trials complete" in Path("runs/digits/report.html").read_text()

    ended = tombola("resume", "runs/digits", "--in-process")
    assert (
        ended.exit_code == 0
        and "3 of 3 trials complete." in ended.stdout
        and "time limit" not in ended.stdout
    )
    assert json.loads(tombola("status", "runs/digits", "--json").stdout)["time_is_up"] is False
    record = sweeps.load_record("runs/digits")
    assert [t.outcome for t in record.trials] == ["complete"] * 3 and not record.time_is_up


def test_a_limit_before_the_first_trial_leaves_a_study_to_go_on_with(tmp_path: Path) -> None:
    record = run(digits(parameters=PARAMETERS, time_limit=1e-9), tmp_path)
    assert record.time_is_up and not record.trials
    record = run(digits(parameters=PARAMETERS), tmp_path)
    assert record.count("complete") == 2 and not record.time_is_up


def test_what_a_study_does_not_keep_stays_until_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_hour_a_trial(monkeypatch, tmp_path)
    data = digits(parameters=PARAMETERS, run_cap=3, retention={"networks": "best", "trajectories": "study"})
    run({**data, "time_limit": "2h"}, tmp_path)
    paths = StudyPaths(tmp_path)
    assert all(any(paths.networks(key).iterdir()) for key in ("0", "1")) and any(paths.store.iterdir())
    record = run(data, tmp_path)
    kept = {key for key in ("0", "1", "2") if paths.networks(key).exists()}
    assert kept == {trial.key for trial in record.front} and not any(paths.store.glob("*/*"))
