"""One driver a study, on one machine and on several: who is refused, who takes over, who is stopped."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest

from sweeps.errors import SweepError
from sweeps.study.database.opening import open_database
from sweeps.study.driver.file_lock import FileLock
from sweeps.study.driver.storage_lease import StorageLease
from tests.plugins.until import until

ELSEWHERE = """
import sys, time
from sweeps.study.database.opening import open_database
from sweeps.study.driver import storage_lease
from trainables.store import process
process._host = lambda: "another machine"
lease = storage_lease.StorageLease(open_database(sys.argv[1]), "s", "s", heartbeat=0.2, patience=2.0)
with lease.hold() as check:
    print("held", flush=True)
    {work}
"""
HERE = """
import sys
from pathlib import Path
from sweeps.study.database.opening import open_database
from sweeps.study.driver.file_lock import FileLock
with FileLock(Path(sys.argv[1])).hold():
    print("held", flush=True)
    input()
"""


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another driver's process, which has the lock when the block begins."""
    with started(code, *arguments) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "held\n"
            yield other
        finally:
            if other.poll() is None:
                other.kill()


def elsewhere(work: str = "input()") -> str:
    return ELSEWHERE.format(work=textwrap.indent(work, "    ").strip())


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


def lease(url: str, said: Callable[[str], None] = lambda _: None) -> StorageLease:
    return StorageLease(open_database(url), "s", "s", said, heartbeat=0.2, patience=2.0)


def test_a_paused_driver_keeps_its_folder_and_a_killed_one_does_not(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "driver.lock")
    assert lock.driver() is None
    with process(HERE, str(tmp_path / "driver.lock")) as other:
        other.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        with pytest.raises(SweepError, match=f"already being run by process {other.pid} on "), lock.hold():
            pass
        found = lock.driver()
        assert found and (found.pid, found.heard) == (other.pid, True)
        other.kill()
        other.wait()
        assert lock.driver() is None
        with lock.hold():
            found = lock.driver()
            assert found and found.pid == os.getpid()
    assert lock.driver() is None


def test_many_glances_keep_no_driver_out(tmp_path: Path) -> None:
    path = tmp_path / "driver.lock"
    path.touch()
    code = (
        "import sys, fcntl; print('held', flush=True)\n"
        "while True:\n f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); f.close()"
    )
    with process(code, str(path)):
        for _ in range(20):
            with FileLock(path).hold():
                pass


def test_a_driver_elsewhere_that_lives_is_never_taken_over(url: str) -> None:
    with process(elsewhere(), url) as other:
        started = time.monotonic()
        with (
            pytest.raises(SweepError, match=f"s: .* already being run by process {other.pid}"),
            lease(url).hold(),
        ):
            pass
        assert time.monotonic() - started < 2.0, "its heartbeat is seen before its time is over"
        found = lease(url).driver()
        assert found and (found.pid, found.heard) == (other.pid, True)


@pytest.mark.parametrize("database", ["url", "postgresql"])
def test_a_driver_paused_for_longer_than_its_lease_is_taken_over_and_writes_nothing_more(
    database: str, request: pytest.FixtureRequest
) -> None:
    """Paused, taken over, woken: its next write meets the fence, in the very transaction."""
    url: str = request.getfixturevalue(database)
    study = optuna.create_study(storage=url, study_name="study")
    work = """
        import optuna
        from sweeps.study.database.patience import Patience
        patience = Patience("s", lambda _: None)
        study = optuna.load_study(study_name="study", storage=lease._storage)
        try:
            while True:
                patience.insist(study.ask)  # paused within a transaction, it finds that cut off first
                time.sleep(0.05)
        except Exception as error:
            print(f"{type(error).__name__}: {error}", flush=True)
    """
    with process(elsewhere(textwrap.dedent(work).strip()), url) as other:
        until(lambda: len(study.trials) > 3)
        other.send_signal(signal.SIGSTOP)
        found = lease(url).driver()
        assert found and (found.pid, found.heard) == (other.pid, False)
        said: list[str] = []
        with lease(url, said.append).hold() as check:
            assert len(said) == 1 and f"last run by process {other.pid} on " in said[0]
            rows = len(study.trials)
            other.send_signal(signal.SIGCONT)
            printed, _ = other.communicate("\n", timeout=60)
            assert printed.startswith("TakenOver: s: ") and "It stops here" in printed
            assert len(study.trials) == rows
            check()
    assert lease(url).driver() is None


def test_of_two_that_take_over_at_once_one_wins(url: str) -> None:
    with process(elsewhere(), url) as dead:
        dead.send_signal(signal.SIGSTOP)
        codes = [elsewhere().replace("another machine", f"machine {n}") for n in range(2)]
        contenders = [started(code, url) for code in codes]
        until(lambda: any(contender.poll() is not None for contender in contenders))
        answers = [contender.communicate("\n", timeout=60) for contender in contenders]
    assert sorted(contender.returncode for contender in contenders) == [0, 1]
    assert sorted(printed for printed, _ in answers) == ["", "held\n"]
    assert "already being run by process" in "".join(errors for _, errors in answers)


def test_a_driver_killed_on_this_machine_is_taken_over_at_once(url: str) -> None:
    here = elsewhere().replace('process._host = lambda: "another machine"\n', "")
    with process(here, url) as other:
        with pytest.raises(SweepError, match=f"process {other.pid} on"), lease(url).hold():
            pass
        other.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        with pytest.raises(SweepError, match=f"process {other.pid} on"), lease(url).hold():
            pass
        other.kill()
        other.wait()
        assert lease(url).driver() is None
        started = time.monotonic()
        with lease(url).hold():
            assert time.monotonic() - started < 1.5


def test_neither_lock_looks_at_a_clock_that_can_be_set(url: str, tmp_path: Path) -> None:
    jumping = "import itertools, time; days = itertools.count(0, -86400.0); time.time = lambda: next(days)\n"
    with process(jumping + elsewhere(), url) as other:
        with pytest.raises(SweepError, match=f"process {other.pid} on"), lease(url).hold():
            pass
        other.communicate("\n", timeout=60)
    with lease(url).hold():
        pass
