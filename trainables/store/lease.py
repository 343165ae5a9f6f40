"""Who may work in a folder of the store: one process at a time, on any machine that sees the folder.

A lease is a file ``lease-<n>.json``; the highest n counts. Taking over creates n + 1 with O_EXCL, so exactly
one of several waiters wins, and nothing is ever deleted that could still count. Plain POSIX: no locks that
network file systems lack.

No library carries it yet. filelock's SoftFileLease (from 3.30) has the heartbeat and the waiter's own clock,
but a lease that a trial cut off in this very process left is never passed on while its thread beats, and
nobody else can ask whether a folder is held; flufl.lock has no heartbeat and compares clocks of different
machines.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from trainables.store.process import Process, has_ended, this_process

HEARTBEAT = 2.0  # seconds between signs of life
PATIENCE = 30.0  # seconds without one, by the waiter's clock, after which a holder elsewhere counts as dead
_POLL = 0.2
_DEAD = 3600.0  # seconds since the last sign of life, by clocks that may disagree: nobody waits any longer


@dataclass(frozen=True)
class Holder(Process):
    """The process that holds a lease; ``beat`` counts its signs of life."""

    beat: int = 0
    released: bool = False


@contextmanager
def lease(
    folder: Path, heartbeat: float = HEARTBEAT, patience: float = PATIENCE
) -> Iterator[Callable[[], bool]]:
    """Hold ``folder`` alone for the length of the block, waiting as long as its present holder lives.

    A holder on this machine whose process is gone, or that is this very process, is taken over at once; any
    other when its heartbeat has not moved for ``patience`` seconds. Yields a function that tells whether
    nobody has taken over yet.
    """
    number = _acquire(folder, patience)
    path, me, ended = _path(folder, number), _me(), threading.Event()
    beating = threading.Thread(
        target=_beat, args=(path, me, ended, heartbeat), name=f"lease {folder.name}", daemon=True
    )
    beating.start()
    try:
        yield lambda: max(_numbers(folder), default=0) == number
    finally:
        ended.set()
        beating.join()
        with suppress(OSError):  # a full disk: waiters see that the heartbeat stops
            _write(path, replace(me, released=True))


def is_held(folder: Path) -> bool:
    """Tell whether somebody may be working in ``folder``.

    A holder on another machine counts until an hour after its last sign of life.
    """
    numbers = _numbers(folder)
    if not numbers:
        return False
    path = _path(folder, max(numbers))
    try:
        return not _is_free(_read(path)) and time.time() - path.stat().st_mtime < _DEAD
    except FileNotFoundError:  # passed on to the next in this moment
        return True


def _acquire(folder: Path, patience: float) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    seen, since = "", time.monotonic()
    while True:
        current = max(_numbers(folder), default=0)
        content = _read(_path(folder, current))
        if content != seen:
            seen, since = content, time.monotonic()
        if _is_free(content) or time.monotonic() - since > patience:
            if _create(folder, current + 1):
                return current + 1
        else:
            time.sleep(_POLL)


def _create(folder: Path, number: int) -> bool:
    """Create lease ``number``; True where this process made it and it is the one that counts."""
    path = _path(folder, number)
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    try:
        path.write_text(json.dumps(asdict(_me())))
    except OSError:  # a full disk: an empty lease would keep everyone waiting
        path.unlink(missing_ok=True)
        raise
    numbers = _numbers(folder)
    for other in numbers:
        if other < number:
            _path(folder, other).unlink(missing_ok=True)
    return max(numbers) == number


def _is_free(content: str) -> bool:
    """Tell whether a lease file says that nobody works here; half-written content says nothing yet."""
    if not content:
        return False
    try:
        holder = Holder(**json.loads(content))
    except (ValueError, TypeError):
        return False
    process = Process(holder.host, holder.pid, holder.started)
    return holder.released or process == this_process() or has_ended(process)


def _beat(path: Path, me: Holder, ended: threading.Event, every: float) -> None:
    beat = 0
    while not ended.wait(every):
        beat += 1
        # a full disk or a network file system away for a moment: the next beat tries again
        with suppress(OSError):
            if path.exists():
                _write(path, replace(me, beat=beat))


def _write(path: Path, holder: Holder) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(holder)))
    temporary.replace(path)


def _read(path: Path) -> str:
    """Read the lease file; where there is none, a released lease."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return json.dumps(asdict(Holder("", 0, "", released=True)))


def _numbers(folder: Path) -> list[int]:
    return [int(path.stem.removeprefix("lease-")) for path in folder.glob("lease-*.json")]


def _path(folder: Path, number: int) -> Path:
    return folder / f"lease-{number}.json"


def _me() -> Holder:
    return Holder(**asdict(this_process()))
