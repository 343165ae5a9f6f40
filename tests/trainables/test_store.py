import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import save_file

import trainables
from trainables.store.snapshot import address
from trainables.store.trajectory import Trajectory

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
IDENTITIES = st.dictionaries(st.text(max_size=3), VALUES, max_size=4)


@given(IDENTITIES)
def test_an_address_survives_json_and_the_order_of_keys(identity: dict) -> None:
    assert address(identity) == address(json.loads(json.dumps(identity)))
    assert address(identity) == address(dict(reversed(identity.items())))


@given(IDENTITIES, IDENTITIES)
def test_different_things_have_different_addresses(one: dict, other: dict) -> None:
    assert (address(one) == address(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


@pytest.fixture
def trajectory(tmp_path: Path) -> Trajectory:
    return Trajectory(tmp_path / "store", {"task": "digits", "seed": 0})


def write(trajectory: Trajectory, epoch: int, text: str = "weights") -> None:
    with trajectory.held():
        trajectory.write(
            epoch,
            [{"val/accuracy": 0.5}] * epoch,
            lambda folder: (folder / "model").write_text(text) and None,
        )


def test_a_snapshot_comes_back_and_replaces_the_earlier_ones(trajectory: Trajectory) -> None:
    assert trajectory.latest(9) is None
    write(trajectory, 1)
    write(trajectory, 3, "better weights")
    snapshot = trajectory.latest(9)
    assert snapshot and (snapshot.epoch, len(snapshot.history)) == (3, 3)
    assert (snapshot.folder / "model").read_text() == "better weights"
    assert [folder.name for folder in trajectory.folder.glob("epoch-*")] == ["epoch-00003"]
    assert trajectory.latest(2) is None
    assert trajectory.at(3) == snapshot and trajectory.at(1) is None


@pytest.mark.parametrize("damaged", ["model", "snapshot.json"])
@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
def test_damage_is_seen_reported_and_removed(trajectory: Trajectory, damaged: str, how: str) -> None:
    write(trajectory, 2)
    file = trajectory.folder / "epoch-00002" / damaged
    text = file.read_text()
    if how == "gone":
        file.unlink()
    else:
        file.write_text(
            text.replace("0.5", "0.7").replace("weights", "wieghts") if how == "changed" else text[:-3]
        )
    assert trajectory.at(2) is None
    with pytest.warns(trainables.StoreWarning, match="epoch-00002 is damaged .* built again"):
        assert trajectory.latest(2) is None
    assert not list(trajectory.folder.glob("epoch-*"))
    write(trajectory, 2)
    assert trajectory.latest(2)


def test_what_a_killed_writer_left_is_cleared_away(trajectory: Trajectory) -> None:
    write(trajectory, 1)
    (trajectory.folder / ".tmp-left").mkdir()
    write(trajectory, 2)
    assert sorted(path.name for path in trajectory.folder.iterdir() if not path.name.startswith("lease")) == [
        "epoch-00002",
        "spec.json",
    ]


def test_a_failing_write_leaves_the_last_snapshot_alone(trajectory: Trajectory) -> None:
    write(trajectory, 1)

    def fill(folder: Path) -> None:
        (folder / "model").symlink_to("/dev/full")  # the kernel's own full disk
        (folder / "model").write_text("weights")

    with (
        pytest.raises(
            trainables.StoreError,
            match=r"the disk that holds .* is full; free some space and run the same command again",
        ),
        trajectory.held(),
    ):
        trajectory.write(2, [], fill)
    assert [path.name for path in trajectory.folder.glob("*epoch*")] + list(
        trajectory.folder.glob(".tmp*")
    ) == ["epoch-00001"]
    assert trajectory.latest(9)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_writer_that_was_taken_over_hears_of_it(trajectory: Trajectory, when: str) -> None:
    def take_over() -> None:  # as another process does after its patience
        with Trajectory(trajectory.folder.parents[1], {"task": "digits", "seed": 0}).held():
            pass

    def fill(folder: Path) -> None:
        if when == "meanwhile":
            take_over()
        save_file({"weight": torch.zeros(2)}, folder / "model")

    with trajectory.held():
        if when == "before":
            take_over()
        with pytest.raises(
            trainables.LeaseLost, match=r"another process took over .* while this one stood still"
        ):
            trajectory.write(1, [], fill)
    write(trajectory, 1)
    assert trajectory.latest(9)


def test_a_full_disk_is_recognised_in_safetensors_words_too(trajectory: Trajectory) -> None:
    def fill(folder: Path) -> None:  # word for word what safetensors says on a full tmpfs
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(trainables.StoreError, match="is full"), trajectory.held():
        trajectory.write(1, [], fill)


def test_the_training_log_counts_by_trainer(trajectory: Trajectory) -> None:
    with trajectory.held():
        for epoch, trainer in enumerate(["runs/a", "runs/a", "runs/ab"]):
            trajectory.log(epoch, 10 + epoch, trainer)
    assert [trajectory.steps_trained(trainer) for trainer in ("runs/a", "runs/ab", "runs/b")] == [21, 12, 0]


def test_what_is_kept_outlives_later_snapshots(trajectory: Trajectory) -> None:
    def fill(folder: Path) -> None:
        (folder / "model").write_text("early weights")

    assert trajectory.kept(7) is None
    with trajectory.held():
        trajectory.keep(7, fill)
    write(trajectory, 1)
    write(trajectory, 2)
    kept = trajectory.kept(7)
    assert kept and (kept.folder / "model").read_text() == "early weights"
    assert trajectory.latest(9) == trajectory.at(2)
    (kept.folder / "model").write_text("other weights")
    assert trajectory.kept(7) is None
    with trajectory.held():
        trajectory.keep(7, fill)  # what is damaged is written anew
    assert trajectory.kept(7)
