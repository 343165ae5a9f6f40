import json
import os
import threading
import time
from pathlib import Path

import pytest

from tests.trainables import processes
from trainables.store.lease import lease


def lines(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()]


def foreign(folder: Path, beat: int) -> None:
    """A lease as a process of another machine leaves it; written as a holder does, whole or not at all."""
    folder.mkdir(exist_ok=True)
    content = {"host": "elsewhere", "pid": os.getpid(), "started": "1", "beat": beat, "released": False}
    (folder / "new").write_text(json.dumps(content))
    (folder / "new").replace(folder / "lease-5.json")


def test_only_one_of_many_holds_it_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [processes.start(processes.hold, tmp_path / "entry", log, 0.05) for _ in range(5)]
    for worker in workers:
        worker.join(60)
    seen = lines(log)
    assert len(seen) == 10
    for got, left in zip(seen[::2], seen[1::2], strict=True):
        assert (got[0], got[1], left[1]) == (left[0], "got", "left")
    assert len(list((tmp_path / "entry").glob("lease-*.json"))) == 1


def test_a_killed_holders_lease_passes_on_at_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    holder = processes.start(processes.hold, tmp_path / "entry", log, 600)
    processes.wait_for(log)
    started = time.monotonic()
    holder.kill()
    with lease(tmp_path / "entry", patience=600):
        assert time.monotonic() - started < 10
    holder.join(10)


def test_a_holder_elsewhere_is_waited_for_while_its_heart_beats(tmp_path: Path) -> None:
    foreign(tmp_path / "entry", 0)
    started, quiet = time.monotonic(), threading.Event()

    def beat() -> None:
        for number in range(1, 8):
            time.sleep(0.2)
            foreign(tmp_path / "entry", number)
        quiet.set()

    beating = threading.Thread(target=beat)
    beating.start()
    with lease(tmp_path / "entry", patience=0.7):
        assert quiet.is_set()
        assert time.monotonic() - started > 1.4 + 0.5
    beating.join()
    assert [path.name for path in (tmp_path / "entry").iterdir()] == ["lease-6.json"]


def test_half_written_and_foreign_content_ends_with_patience(tmp_path: Path) -> None:
    for content in ("", "{", '{"host": 3}'):
        (tmp_path / "lease-1.json").write_text(content)
        started = time.monotonic()
        with lease(tmp_path, patience=0.5):
            assert time.monotonic() - started > 0.5
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_pid_that_means_another_process_now_is_no_holder(tmp_path: Path) -> None:
    with lease(tmp_path):
        holder = json.loads((tmp_path / "lease-1.json").read_text())
    (tmp_path / "lease-1.json").write_text(
        json.dumps({**holder, "released": False, "pid": os.getppid(), "started": "12"})
    )
    with lease(tmp_path, patience=600):
        assert (tmp_path / "lease-2.json").exists()


def test_it_is_given_back_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lease(tmp_path):
        raise ZeroDivisionError
    assert json.loads((tmp_path / "lease-1.json").read_text())["released"]
