"""What a study asks of an object store, on a real S3 server: whole, once, and found when damaged."""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import pruners
from tests.objects.objects import below, epochs_trained, flip, truncate
from tests.plugins.s3 import S3Server
from tests.trainables import processes
from tests.trainables.configs import comparable, trial
from trainables import run_trial
from trainables.config import trial_config
from trainables.errors import LeaseLost, StoreError, StoreWarning
from trainables.places import bucket
from trainables.places.folders import download, last_written, remove_tree
from trainables.places.object_path import ObjectPath
from trainables.places.place import append, check, create, modified, place_of, write_whole
from trainables.results.trial_paths import network_folder
from trainables.store.computed import Computed
from trainables.store.lease import HeldByAnother, is_held, lease, lives
from trainables.store.removal import remove
from trainables.store.trajectory import Trajectory


@pytest.fixture
def folder(s3: str) -> ObjectPath:
    found = place_of(s3)
    assert isinstance(found, ObjectPath)
    return found


def test_an_object_is_created_by_one_alone(folder: ObjectPath) -> None:
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda n: create(folder / f"of-8-{n // 8}", str(n).encode()), range(80)))
    assert won.count(True) == 10
    contents = [int(path.read_bytes()) for path in folder.glob("of-8-*")]
    assert sorted(contents) == [n for n, mine in enumerate(won) if mine]


def test_an_answer_lost_on_the_way_does_not_count_as_another_writer(folder: ObjectPath) -> None:
    assert create(folder / "entry", b"mine") and create(folder / "entry", b"mine")
    assert not create(folder / "entry", b"another's")


def test_lines_appended_side_by_side_are_all_there(folder: ObjectPath) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: append(folder / "log", f"{n}\n".encode()), range(40)))
    assert sorted((folder / "log").read_text().split(), key=int) == [str(n) for n in range(40)]


def test_paths_are_what_pathlib_would_make_of_them(folder: ObjectPath) -> None:
    for name in ("a/lease-2.json", "a/lease-11.json", "a/b/lease-3.json", "c"):
        write_whole(folder / name, b"x")
    assert [p.name for p in (folder / "a").glob("lease-*.json")] == ["lease-11.json", "lease-2.json"]
    assert [p.stem for p in folder.glob("*/b/*")] == ["lease-3"]
    assert [p.name for p in folder.iterdir()] == ["a", "c"]
    assert (folder / "a").is_dir() and not (folder / "a").is_file() and (folder / "c").is_file()
    assert (folder / "a" / "b").is_relative_to(folder) and not (folder / "ab").is_relative_to(folder / "a")
    assert abs(modified(folder / "c") - time.time()) < 60 and abs(last_written(folder) - time.time()) < 60
    with pytest.raises(FileNotFoundError):
        (folder / "d").read_bytes()
    with pytest.raises(FileNotFoundError):
        modified(folder / "d")
    remove_tree(folder / "a")
    assert below(str(folder)) == [folder / "c"] and not (folder / "a").exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "another one, as long as it is", "SignatureDoesNotMatch"),
        ("AWS_ACCESS_KEY_ID", "nobody", "InvalidAccessKeyId"),
    ],
)
def test_a_wrong_key_is_said(
    folder: ObjectPath, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    for question in (lambda: check(folder), lambda: write_whole(folder / "a", b"")):
        with pytest.raises(StoreError, match=f"{folder.url}: the object store at http.* refuses: {said}"):
            question()
    with pytest.raises(StoreError, match="refuses: status 403"):
        folder.exists()


def test_a_bucket_that_is_not_there_is_said(folder: ObjectPath) -> None:
    nowhere = ObjectPath("s3://nowhere", "first")
    for question in (lambda: check(nowhere), (nowhere / "a").read_bytes, lambda: write_whole(nowhere, b"")):
        with pytest.raises(StoreError, match="s3://nowhere: there is no such bucket at http"):
            question()


def test_a_server_that_never_answers_is_not_waited_for(
    folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "AT_FIRST", 1.0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(
        StoreError, match=r"s3://studies cannot be reached at http://127\.0\.0\.1:1: .*goes on"
    ):
        check(folder)


def test_credentials_that_are_nowhere_are_missed(folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match="no credentials"):
        check(folder)


def test_aws_own_files_tell_the_credentials(
    folder: ObjectPath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3_server: S3Server
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    keys = f"aws_access_key_id={s3_server.key}\naws_secret_access_key={s3_server.secret}\n"
    (tmp_path / "credentials").write_text(f"[work]\n{keys}")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    check(folder)


def trajectory(folder: ObjectPath) -> Trajectory:
    return Trajectory(folder / "store", {"task": "digits", "seed": 0})


def write(trained: Trajectory, epoch: int) -> None:
    trained.write(
        epoch, [{"loss": 0.5}], lambda local: (local / "w.bin").write_bytes(b"weights %d" % epoch) and None
    )


def test_a_snapshot_is_whole_or_not_there(folder: ObjectPath) -> None:
    trained = trajectory(folder)
    with trained.held():
        write(trained, 1)
        write(trained, 2)
    assert [p.name for p in trained.folder.glob("epoch-*/snapshot.json")] == ["snapshot.json"]
    found = trajectory(folder).latest(5)
    assert found and (found.folder / "w.bin").read_bytes() == b"weights 2" and found.epoch == 2
    local = found.folder
    del found
    assert not local.exists()
    # what a process killed in the middle of an upload leaves
    write_whole(trained.folder / "epoch-00003" / "w-0.bin", b"weig")
    again = trajectory(folder).latest(5)
    assert again and again.epoch == 2


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize("ending", [".bin", "snapshot.json"])
def test_a_damaged_snapshot_is_built_again(
    folder: ObjectPath, damage: Callable[[ObjectPath], None], ending: str
) -> None:
    trained = trajectory(folder)
    with trained.held():
        write(trained, 1)
        damage(below(str(trained.folder), ending)[0])
        assert trained.at(1) is None
        with pytest.warns(StoreWarning, match="epoch-00001 is damaged"):
            assert trained.latest(1) is None
        write(trained, 1)
        assert trained.latest(1)


@pytest.mark.parametrize("damage", [flip, truncate])
def test_what_was_computed_is_computed_again_where_it_is_damaged(
    folder: ObjectPath, damage: Callable[[ObjectPath], None]
) -> None:
    entry = Computed(folder / "store", {"what": "moments"}, "trials/0")
    with entry.held():
        entry.keep_data("a", {"value": 1.5})
    assert entry.data("a") == {"value": 1.5}
    damage(next(path for path in below(str(entry.folder)) if "-" in path.name and "lease" not in path.name))
    with pytest.warns(StoreWarning, match="damaged and is computed again"):
        assert entry.data("a") is None


def test_a_folder_is_held_by_one_process_at_a_time(folder: ObjectPath, tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [processes.start(processes.hold, folder, log, 0.2) for _ in range(3)]
    for worker in workers:
        worker.join(60)
    seen = [line.split() for line in log.read_text().splitlines()]
    assert len(seen) == 6
    for got, left in zip(seen[::2], seen[1::2], strict=True):
        assert (got[0], got[1], left[1]) == (left[0], "got", "left")
    assert len(list(folder.glob("lease-*.json"))) == 1 and not is_held(folder) and lives(folder) is None


def test_a_killed_holder_is_taken_over_and_a_living_one_is_not(folder: ObjectPath, tmp_path: Path) -> None:
    log = tmp_path / "log"
    holder = processes.start(processes.hold, folder, log, 600)
    processes.wait_for(log)
    assert is_held(folder) and lives(folder)
    with pytest.raises(HeldByAnother), lease(folder, wait=False):
        pass
    holder.kill()
    holder.join(10)
    with lease(folder, wait=False) as is_ours:
        assert is_ours()


def test_racing_for_one_dense_network_it_is_trained_once(folder: ObjectPath, tmp_path: Path) -> None:
    configs = [
        replace(trial(tmp_path, key), directory=f"{folder}/trials/{key}", store=f"{folder}/store")
        for key in ("0", "1")
    ]
    racing = [
        processes.start(
            processes.run_trial, trial_config.dump_python(config, mode="json"), {}, tmp_path / config.key
        )
        for config in configs
    ]
    for worker in racing:
        worker.join(120)
    answers = [comparable(json.loads((tmp_path / config.key).read_text())) for config in configs]
    assert answers[0] == answers[1] and set(epochs_trained(str(folder)).values()) == {1}
    local = tmp_path / "network"
    download(network_folder(configs[0], 0), local)
    assert pruners.load(local).params > 0


def test_a_store_that_stays_away_says_nothing_about_the_trial(
    folder: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(trial(tmp_path), directory=f"{folder}/trials/0", store=f"{folder}/store")
    monkeypatch.setattr(bucket, "PATIENCE", 1.0)
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        told = run_trial(config)
    assert told["stops_study"] and told["failed"].startswith("s3://studies cannot be reached at ")
    assert not below(str(folder))
    assert "failed" not in run_trial(config)


def test_a_package_that_is_missing_is_named(folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setenv("AWS_REGION", "another environment")
    with pytest.raises(StoreError, match=r"needs the package obstore: pip install 'tombola\[s3\]'"):
        check(folder)


def test_who_was_taken_over_writes_no_more(folder: ObjectPath) -> None:
    trained = trajectory(folder)
    with trained.held():
        create(trained.folder / "lease-9.json", b"{}")
        with pytest.raises(LeaseLost):
            write(trained, 1)


def test_trajectories_leave_the_store_again(folder: ObjectPath) -> None:
    trained, kept = trajectory(folder), Trajectory(folder / "store", {"seed": 1})
    for one in (trained, kept):
        with one.held():
            write(one, 1)
            one.log(0, 3, "trials/0")
    assert remove(folder / "store", lambda found: found != kept.folder) == [trained.folder]
    assert not trained.folder.exists() and kept.latest(1) and kept.steps_trained("trials/0") == 3
