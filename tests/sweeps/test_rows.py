"""What the driver holds in memory is what its journal holds; what a trial costs it does not grow."""

import random
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.search import samplers
from sweeps.study.ledger import Ledger
from sweeps.study.rows.past import BEST, Past
from sweeps.sweep_file.samplers import Tpe
from sweeps.sweep_file.space import Space
from tests.sweeps.dying_journal import DyingJournal
from tests.sweeps.test_ledger import KINDS, Workers, drive

WIDE = Space({f"p{i}": FloatDistribution(0.1, 10, log=True) for i in range(50)})
NARROW = Space({"x": FloatDistribution(0, 1)})


def ledger_on(path: Path, space: Space, method: str) -> tuple[Ledger, DyingJournal]:
    backend = DyingJournal(path, None, "before")
    study = optuna.create_study(
        study_name="s", storage=JournalStorage(backend), direction="maximize", load_if_exists=True
    )
    draw = partial(samplers.build, method, {}, space.distributions, 7)
    return Ledger(study, space, draw, lambda _: None, lambda _: None), backend


def plain(row: FrozenTrial) -> dict[str, Any]:
    """All of a row but the moments at which it began and ended."""
    parts = (
        "number",
        "state",
        "params",
        "distributions",
        "user_attrs",
        "system_attrs",
        "intermediate_values",
    )
    return {name: getattr(row, name) for name in parts} | {"values": row.values}


@pytest.mark.parametrize("name", KINDS)
def test_the_rows_in_memory_are_those_of_the_journal(tmp_path: Path, name: str) -> None:
    _, ledger = drive(tmp_path / "journal.log", Workers(), name)
    written = optuna.load_study(
        study_name="s", storage=JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    )
    held = ledger.study.get_trials(deepcopy=False)
    assert [plain(row) for row in held] == [plain(row) for row in written.get_trials()]


def test_a_draw_of_fifty_parameters_is_one_write(tmp_path: Path) -> None:
    ledger, journal = ledger_on(tmp_path / "journal.log", WIDE, "random")
    before = journal.writes
    root, _ = ledger.ask() or pytest.fail("the draw fits")
    assert journal.writes - before == 1
    for epoch in range(5):
        ledger.report(root, epoch, 0.5)
    ledger.complete(root, [0.5], {"val/accuracy": 0.5}, {}, {})
    assert journal.writes - before <= 1 + 5 + 3


def test_a_draw_from_a_long_study_is_the_same_after_a_restart(tmp_path: Path) -> None:
    ledger, _ = ledger_on(tmp_path / "journal.log", NARROW, "tpe")
    dice = random.Random(0)
    for _ in range(Tpe.shown + 50):
        x = dice.random()
        row = create_trial(value=-((x - 0.3) ** 2), params={"x": x}, distributions=NARROW.distributions)
        ledger.study.add_trial(row)
    copied = tmp_path / "copy.log"
    copied.write_bytes((tmp_path / "journal.log").read_bytes())
    for _ in range(3):
        root, params = ledger.ask() or pytest.fail("the draw fits")
        ledger.complete(root, [-((params["x"] - 0.3) ** 2)], {}, {}, {})
        again, _ = ledger_on(copied, NARROW, "tpe")
        assert again.ask() == (root, params)
        copied.write_bytes((tmp_path / "journal.log").read_bytes())


@pytest.mark.parametrize("seed", range(5))
def test_the_best_rows_are_shown_whatever_they_are(seed: int) -> None:
    dice = random.Random(seed)
    past, rows = Past([StudyDirection.MAXIMIZE]), []
    for number in range(400):
        state = dice.choice((TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
        violation = dice.choice((-1.0, -1.0, 0.5, 2.0))
        row = create_trial(
            state=state,
            value=None if state == TrialState.FAIL else dice.random(),
            constraints={"size": violation},
        )
        row.number = number
        past.put(row)
        rows.append(row)
    told = [row for row in rows if row.state != TrialState.FAIL]
    good = [r for r in told if r.state == TrialState.COMPLETE and max(r.constraints.values()) <= 0]
    best = sorted(good, key=lambda row: -row.values[0])[:BEST]
    shown = past.shown(Tpe.shown)
    assert {row.number for row in best} <= set(shown)
    others = [row.number for row in told if row.number not in {row.number for row in best}]
    assert shown == sorted({row.number for row in best} | set(others[len(best) - Tpe.shown :]))


def test_of_several_objectives_the_front_is_shown() -> None:
    past = Past([StudyDirection.MINIMIZE, StudyDirection.MINIMIZE])
    front = [(0.1 * step, 1.0 - 0.1 * step) for step in range(5)]
    for number, values in enumerate([*front, *[(2.0, 2.0)] * 400]):
        row = create_trial(values=list(values))
        row.number = number
        past.put(row)
    assert past.shown(Tpe.shown)[:5] == [0, 1, 2, 3, 4]
