"""What a study leaves on the disk when it is complete, and that it can go on all the same."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

import sweeps
import trainables
from sweeps import SweepError
from sweeps.study import export
from tests.sweeps.studies import digits, run


def searching(**keys: Any) -> dict[str, Any]:
    return digits(
        parameters={"budget.keep_ratio": {"min": 0.1, "max": 0.9}}, **{"budget": {}, "run_cap": 3, **keys}
    )


def trajectories(store: Path) -> list[Path]:
    """The trained ones; what was computed of them lies beside them."""
    return sorted(path.parent for path in store.glob("*/*/training_log.jsonl"))


def forget() -> None:
    """What a new process knows of the networks of the old one."""
    trainables.execution.run._kept.clear()


def networks(study: Path) -> set[str]:
    return {path.parent.name for path in study.glob("trials/*/network")}


def test_everything_stays_unless_the_sweep_says_otherwise(tmp_path: Path) -> None:
    run(searching(), tmp_path)
    assert networks(tmp_path) == {"0", "1", "2"} and len(trajectories(tmp_path / "store")) == 1


def test_a_study_that_kept_little_goes_on(tmp_path: Path) -> None:
    whole = run(searching(run_cap=5), tmp_path / "whole")
    data = searching(retention={"networks": "best", "trajectories": "study"})
    record = run(data, tmp_path / "little")
    assert record.best and networks(tmp_path / "little") == {record.best.key}
    assert not any((tmp_path / "little" / "store").glob("*/*"))
    other = next(t for t in record.trials if t != record.best)
    with pytest.raises(
        SweepError, match=rf"^Trial {other.key} left no network \(retention\.networks is best\)\.$"
    ):
        export.export(record, other, tmp_path / "small")
    forget()
    more = run({**data, "run_cap": 5}, tmp_path / "little")
    assert [t.values for t in more.trials] == [t.values for t in whole.trials]
    assert [t.metrics["epochs_trained"] for t in more.trials] == [1, 0, 0, 1, 0], (
        "what was removed is trained again, once"
    )
    # the best and its equals
    assert more.best and networks(tmp_path / "little") == {more.best.key, *(t.key for t in more.front)}


def test_with_several_objectives_the_front_stays(tmp_path: Path) -> None:
    metrics = [{"name": "val/accuracy", "goal": "maximize"}, {"name": "val/loss", "goal": "minimize"}]
    data = searching(metrics=metrics, run_cap=4, retention={"networks": "best"})
    del data["metric"]
    record = run(data, tmp_path)
    assert networks(tmp_path) == {t.key for t in record.front} != {t.key for t in record.trials}


def test_what_a_shared_store_holds_for_others_stays(tmp_path: Path) -> None:
    shared = {"storage": {"store": str(tmp_path / "shared")}}
    run(searching(**shared, training={"epochs": 2, "batch_size": 128}), tmp_path / "other")
    [others] = trajectories(tmp_path / "shared")
    run(searching(**shared, retention={"trajectories": "study"}, seed=1, replicates=1), tmp_path / "mine")
    assert trajectories(tmp_path / "shared") == [others]


def test_old_trajectories_leave_when_a_driver_begins(tmp_path: Path) -> None:
    data = searching(retention={"trajectories": 2})
    run(data, tmp_path)
    [dense] = trajectories(tmp_path / "store")
    _age(dense, days=1)
    assert run({**data, "run_cap": 4}, tmp_path).trials[-1].metrics["epochs_trained"] == 0
    _age(dense, days=3)
    forget()
    assert run({**data, "run_cap": 5}, tmp_path).trials[-1].metrics["epochs_trained"] == 1
    _age(dense, days=3)
    sweeps.run(sweeps.Sweep.from_data({**data, "run_cap": 5}), tmp_path, without_ray=True)
    assert trajectories(tmp_path / "store") == []


def _age(folder: Path, days: float) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - days * 86400,) * 2)
