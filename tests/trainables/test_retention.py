"""What leaves the store, and what never does while somebody works on it."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

import trainables
from tests.trainables import processes
from tests.trainables.configs import comparable, same_bits, trial, weights
from trainables.execution import run
from trainables.places.folders import last_written
from trainables.store import trajectory
from trainables.store.lease import is_held
from trainables.store.removal import remove
from trainables.store.training_log import trainers


def folders(store: Path) -> list[Path]:
    return sorted(path.parent for path in store.glob("*/*/spec.json"))


def test_what_was_removed_is_trained_again_to_the_same_bits(tmp_path: Path) -> None:
    first, again = trial(tmp_path), trial(tmp_path, "again")
    metrics, before = trainables.run_trial(first), folders(tmp_path / "store")
    assert [trainers(folder) for folder in before] == [{first.directory}] * 2
    assert all(time.time() - 60 < last_written(folder) <= time.time() for folder in before)
    assert remove(tmp_path / "store", lambda folder: False) == [] and folders(tmp_path / "store") == before
    assert remove(tmp_path / "store", lambda folder: True) == before
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []
    run._kept.clear()  # as in a new process
    repeated = trainables.run_trial(again)
    assert repeated["epochs_trained"] == metrics["epochs_trained"] and comparable(repeated) == comparable(
        metrics
    )
    assert same_bits(weights(first), weights(again))


@pytest.mark.parametrize("seen", ["at", "latest", "hold"])
def test_what_goes_between_a_look_and_the_next_is_trained_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    first, again = trial(tmp_path), trial(tmp_path, "again")
    metrics = trainables.run_trial(first)
    run._kept.clear()  # as in a new process
    look, removed = getattr(trajectory.Trajectory, seen), []

    def look_before_the_removal(trajectory, *up_to):
        found = look(trajectory, *up_to)
        if not removed and trajectory.folder.exists():
            removed.append(trajectory.folder.rename(tmp_path / "removed"))
        return found

    if seen != "at":  # what is finished is only read
        for finished in (tmp_path / "store").glob("*/*/epoch-*"):
            shutil.rmtree(finished)
    monkeypatch.setattr(trajectory.Trajectory, seen, look_before_the_removal)
    with pytest.raises(trainables.LeaseLost, match=r"removed from the store|took over"):
        trainables.run_trial(again)
    assert removed and not (Path(again.directory) / "result.json").exists()
    repeated = trainables.run_trial(again)
    assert comparable(repeated) == comparable(metrics) and same_bits(weights(first), weights(again))


def test_what_somebody_holds_stays(tmp_path: Path) -> None:
    held, free = (tmp_path / (digit * 2) / (digit * 64) for digit in "ab")
    free.mkdir(parents=True)
    holder = processes.start(processes.hold, held, tmp_path / "log", 600)
    processes.wait_for(tmp_path / "log")
    assert is_held(held) and not is_held(free)
    assert remove(tmp_path, lambda folder: True) == [free]
    holder.kill()
    holder.join()
    assert not is_held(held)
    assert remove(tmp_path, lambda folder: True) == [held]


def test_a_holder_elsewhere_counts_while_it_gives_signs_of_life(tmp_path: Path) -> None:
    lease = tmp_path / "lease-5.json"
    lease.write_text(
        json.dumps({"host": "elsewhere", "pid": 1, "started": "1", "beat": 3, "released": False})
    )
    assert is_held(tmp_path)
    os.utime(lease, (time.time() - 7200,) * 2)
    assert not is_held(tmp_path)


def test_only_trajectories_are_removed(tmp_path: Path) -> None:
    others = [tmp_path / "ab" / "notes", tmp_path / "photos" / ("a" * 64), tmp_path / "ab" / ("A" * 64)]
    for other in others:
        other.mkdir(parents=True)
    assert remove(tmp_path, lambda folder: True) == [] and all(other.exists() for other in others)


def test_a_removal_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    (tmp_path / ".removed-1" / "epoch-00001").mkdir(parents=True)
    assert remove(tmp_path, lambda folder: False) == [] and list(tmp_path.iterdir()) == []
