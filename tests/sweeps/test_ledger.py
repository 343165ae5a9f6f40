"""A driver killed at any write of its study leaves a study in which the next driver counts right."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from sweeps.search import samplers
from sweeps.study import storage
from sweeps.study.ledger import BUDGET, VIOLATIONS, Ledger, enqueue
from sweeps.study.rows.row import DETAILS, REASON, TRIAL_METRICS, outcome_of, root_of, rows_by_trial, standing
from sweeps.sweep_file.space import Condition, Space
from tests.sweeps.dying_journal import DyingJournal, Killed, Moment

TARGET = 5
SPACE = Space({"x": FloatDistribution(0, 1), "y": IntDistribution(1, 64, log=True)})
GRID = Space({"x": CategoricalDistribution([0.1, 0.9]), "y": IntDistribution(1, 3)})
CONDITIONAL = Space(
    {
        "kind": CategoricalDistribution(["plain", "deep"]),
        "depth": IntDistribution(1, 3),
        "x": FloatDistribution(0, 1),
        "y": IntDistribution(1, 64, log=True),
    },
    conditions={"depth": Condition("kind", "deep")},
)
ENQUEUED: list[dict[str, Any]] = [
    {"x": 0.25},
    {"y": 4, "kind": "deep"},
    {"x": 0.25},
    {"kind": "deep", "depth": 3},
]


@dataclass(frozen=True)
class Kind:
    """A kind of study: its sampler, its space, what is enqueued and how many trials it wants."""

    method: str
    space: Space = SPACE
    enqueued: Sequence[Mapping[str, Any]] = ()
    target: int = TARGET


KINDS = {
    "random": Kind("random"),
    "tpe": Kind("tpe"),
    "grid": Kind("grid", GRID, target=6),
    "conditional": Kind("random", CONDITIONAL),
    "enqueued": Kind("random", CONDITIONAL, ENQUEUED),
}
OWN = {"x": 0.5, "y": 8}
MOMENTS: tuple[Moment, ...] = ("before", "within", "after")


@dataclass
class Workers:
    """What lies on the workers' disks, and how often each trial was worked on to its end."""

    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    ended: Counter[int] = field(default_factory=Counter)

    def finish(self, root: int, params: Mapping[str, Any]) -> tuple[str, float]:
        """How a trial ends follows from its parameters; only a natural end and a failure leave a result."""
        self.ended[root] += 1
        outcome = ("complete", "complete", "failed", "stopped_early")[params["y"] % 4]
        value = -((params["x"] - 0.3) ** 2)
        if outcome != "stopped_early":
            reason = "the loss is nan" if outcome == "failed" else None
            values = None if reason else [value]
            self.results[root] = {
                "values": values,
                TRIAL_METRICS: {"val/accuracy": value},
                DETAILS: {},
                REASON: reason,
                VIOLATIONS: {} if reason else held(params),
            }
        return outcome, value


def violation(params: Mapping[str, Any]) -> float | None:
    """A third of the random draws misses its budget."""
    return params["x"] - 2 / 3


def held(params: Mapping[str, Any]) -> dict[str, float]:
    """Half of the trials miss the one constraint."""
    return {"y at least 5": (5 - params["y"]) / 5}


def open_ledger(workers: Workers, kind: Kind, backend: DyingJournal) -> Ledger:
    study = optuna.create_study(
        study_name="s", storage=JournalStorage(backend), direction="maximize", load_if_exists=True
    )
    if kind.method != "grid" and not study.get_trials(deepcopy=False):
        study.enqueue_trial(OWN)
    enqueue(study, kind.enqueued)
    draw: Callable[[int], Any] = partial(samplers.build, kind.method, {}, kind.space.distributions, 7)
    return Ledger(
        study, kind.space, draw, violation if kind.method != "grid" else lambda _: None, workers.results.get
    )


def drive(
    path: Path, workers: Workers, name: str = "random", fatal: int | None = None, moment: Moment = "before"
) -> tuple[int, Ledger]:
    """One driver's life until ``TARGET`` trials have ended or it is killed; how many writes it made."""
    kind = KINDS[name]
    storage.heal(path)
    backend = DyingJournal(path, fatal, moment)
    ledger = open_ledger(workers, kind, backend)
    while (
        ledger.waiting()
        or sum(count for outcome, count in ledger.counts().items() if outcome != "infeasible") < kind.target
    ):
        asked = ledger.ask()
        if asked is None:
            continue
        root, params = asked
        ledger.report(root, 1, 0.5)
        outcome, value = workers.finish(root, params)
        if outcome == "complete":
            ledger.complete(root, [value], {"val/accuracy": value}, {}, held(params))
        elif outcome == "failed":
            ledger.failed(root, "the loss is nan", {})
        else:
            ledger.report(root, 2, value)
            ledger.stopped_early(root, {}, {})
    return backend.writes, ledger


def drive_and_die(path: Path, workers: Workers, method: str, fatal: int, moment: Moment) -> None:
    with pytest.raises(Killed):
        drive(path, workers, method, fatal, moment)


def assert_exact(ledger: Ledger, workers: Workers, target: int = TARGET) -> None:
    """As many trials as wanted have ended, each once, and every row of the journal is told."""
    rows = ledger.study.get_trials(deepcopy=False)
    assert not [row.number for row in rows if not row.state.is_finished()]
    ends = Counter(root_of(row) for row in rows if outcome_of(row) in ("complete", "stopped_early", "failed"))
    assert len(ends) == target and set(ends.values()) == {1}
    for root, rows in rows_by_trial(ledger.study).items():
        row = standing(rows)
        if outcome_of(row) == "complete":
            assert row.values == pytest.approx([-((row.params["x"] - 0.3) ** 2)])
            assert {**held(row.params), **row.constraints} == row.constraints
        if outcome_of(row) == "failed":
            assert row.user_attrs[REASON] == "the loss is nan"
        if outcome_of(row) == "stopped_early":
            assert row.state == TrialState.PRUNED
        if root in workers.results:
            assert workers.ended[root] == 1, f"trial {root} had its result on disk and was run again"


def draws(ledger: Ledger) -> list[dict[str, Any]]:
    """The parameters of every trial, infeasible ones included, in the order in which they were asked."""
    return [dict(standing(rows).params) for _, rows in sorted(rows_by_trial(ledger.study).items())]


def writes_of_a_whole_study(folder: Path, method: str) -> tuple[int, Ledger]:
    workers = Workers()
    writes, ledger = drive(folder / "whole.log", workers, method)
    assert_exact(ledger, workers, len(workers.ended))
    return writes, ledger


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("method", KINDS)
def test_a_driver_killed_at_any_write_loses_no_trial_and_runs_none_twice(
    tmp_path: Path, method: str, moment: Moment
) -> None:
    writes, whole = writes_of_a_whole_study(tmp_path, method)
    for fatal in range(writes):
        path, workers = tmp_path / f"{fatal}.log", Workers()
        drive_and_die(path, workers, method, fatal, moment)
        _, ledger = drive(path, workers, method)
        assert_exact(ledger, workers, KINDS[method].target)
        if method == "grid":
            assert sorted((p["x"], p["y"]) for p in draws(ledger)) == [
                (x, y) for x in (0.1, 0.9) for y in (1, 2, 3)
            ]
        else:
            assert draws(ledger) == draws(whole)
            assert all(KINDS[method].space.filled(params) == params for params in draws(ledger))


def test_drivers_killed_again_and_again_at_random_writes_still_count_exactly(tmp_path: Path) -> None:
    dice = random.Random(3)
    for study in range(40):
        path, workers, kills = tmp_path / f"{study}.log", Workers(), 0
        while True:
            try:
                _, ledger = drive(path, workers, "random", dice.randrange(1, 25), dice.choice(MOMENTS))
                break
            except Killed:
                kills += 1
        assert_exact(ledger, workers)
        assert kills


def test_the_methods_own_answer_survives_a_kill_before_it_was_handed_out(tmp_path: Path) -> None:
    writes, _ = writes_of_a_whole_study(tmp_path, "random")
    for fatal in range(writes):
        path, workers = tmp_path / f"{fatal}.log", Workers()
        drive_and_die(path, workers, "random", fatal, "after")
        _, ledger = drive(path, workers)
        assert dict(standing(rows_by_trial(ledger.study)[0]).params) == OWN


def test_what_a_worker_left_on_disk_is_taken_and_not_run_again(tmp_path: Path) -> None:
    path, workers = tmp_path / "journal.log", Workers()
    ledger = open_ledger(workers, KINDS["random"], DyingJournal(path, None, "before"))
    asked = ledger.ask()
    assert asked == (0, OWN)
    workers.results[0] = {
        "values": [0.75],
        TRIAL_METRICS: {"val/accuracy": 0.75},
        DETAILS: {},
        REASON: None,
        VIOLATIONS: {"y at least 9": 0.125},
    }
    del ledger
    _, successor = drive(path, workers)
    assert workers.ended[0] == 0
    row = standing(rows_by_trial(successor.study)[0])
    assert row.values == [0.75] and row.user_attrs[TRIAL_METRICS] == {"val/accuracy": 0.75}
    assert row.constraints == {BUDGET: OWN["x"] - 2 / 3, "y at least 9": 0.125}


def test_an_epoch_heard_again_after_a_workers_restart_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    ledger = open_ledger(Workers(), KINDS["random"], DyingJournal(path, None, "before"))
    root, _ = ledger.ask() or pytest.fail("the first draw fits")
    for epoch, value in ((1, 0.1), (2, 0.2), (1, 0.9), (2, 0.9), (3, 0.3)):
        ledger.report(root, epoch, value)
    ledger.stopped_early(root, {}, {})
    row = standing(rows_by_trial(ledger.study)[root])
    assert row.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3} and row.values == [0.3]


def test_heal_leaves_a_whole_journal_alone(tmp_path: Path) -> None:
    _, _ = writes_of_a_whole_study(tmp_path, "random")
    before = (tmp_path / "whole.log").read_bytes()
    storage.heal(tmp_path / "whole.log")
    assert (tmp_path / "whole.log").read_bytes() == before
