"""Who may work in a folder of the store: one process at a time, on any machine that sees the folder.

A lease is a file ``lease-<n>.json``; the highest n counts. Taking over creates n + 1 with O_EXCL, in an
object store with If-None-Match, so exactly one of several waiters wins, and nothing is ever deleted that
could still count. A holder replaces its own file alone, which counts only while no higher one is there. Plain
POSIX: no locks that network file systems lack.

No library carries it yet. filelock's SoftFileLease (from 3.30) has the heartbeat and the waiter's own clock,
but a lease that a trial cut off in this very process left is never passed on while its thread beats, and
nobody else can ask whether a folder is held; flufl.lock has no heartbeat and compares clocks of different
machines.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace

from trainables.errors import StoreError
from trainables.places.object_path import ObjectPath
from trainables.places.place import Place, create, modified, write_whole
from trainables.store.process import Process, has_ended, this_process

HEARTBEAT = 2.0  # seconds between signs of life
PATIENCE = 30.0  # seconds without one, by the waiter's clock, after which a holder elsewhere counts as dead
_POLL = 0.2
_POLL_OBJECTS = 1.0  # of an object store, where each question is paid for
_DEAD = 3600.0  # seconds since the last sign of life, by clocks that may disagree: nobody waits any longer


class HeldByAnother(Exception):
    """Somebody else holds the folder, and lives."""


@dataclass(frozen=True)
class Holder(Process):
    """The process that holds a lease; ``beat`` counts its signs of life, ``attempt`` tells leases apart."""

    beat: int = 0
    released: bool = False
    attempt: str = ""


@contextmanager
def lease(
    folder: Place, heartbeat: float = HEARTBEAT, patience: float = PATIENCE, wait: bool = True
) -> Iterator[Callable[[], bool]]:
    """Hold ``folder`` alone for the length of the block, waiting as long as its present holder lives.

    Without ``wait`` raises `HeldByAnother` once that one shows that it lives.

    A holder on this machine whose process is gone, or that is this very process, is taken over at once; any
    other when its heartbeat has not moved for ``patience`` seconds. Yields a function that tells whether
    nobody has taken over yet.
    """
    number = _acquire(folder, patience, wait)
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
        with suppress(OSError, StoreError):  # a full disk: waiters see that the heartbeat stops
            _write(path, replace(me, released=True))


def is_held(folder: Place) -> bool:
    """Tell whether somebody may be working in ``folder``.

    A holder on another machine counts until an hour after its last sign of life.
    """
    numbers = _numbers(folder)
    if not numbers:
        return False
    path = _path(folder, max(numbers))
    try:
        return not _is_free(_read(path)) and time.time() - modified(path) < _DEAD
    except FileNotFoundError:  # passed on to the next in this moment
        return True


def lives(folder: Place, listen: float = 2 * HEARTBEAT) -> bool | None:
    """Tell whether who holds ``folder`` shows within ``listen`` seconds that it lives; None: nobody does."""
    ends, first = time.monotonic() + listen, _current(folder)
    while not _is_free(now := _current(folder)):
        if now != first or _lives_here(now):
            return True
        if time.monotonic() > ends:
            return False
        time.sleep(_POLL)
    return None


def _acquire(folder: Place, patience: float, wait: bool) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    seen, since = "", time.monotonic()
    poll = _POLL_OBJECTS if isinstance(folder, ObjectPath) else _POLL
    while True:
        asked = time.monotonic()
        current = max(_numbers(folder), default=0)
        content = _read(_path(folder, current))
        # after an outage of the store the holder, too, needs time for its next sign
        if content != seen or time.monotonic() - asked > HEARTBEAT:
            if not wait and not _is_free(content) and (seen or _lives_here(content)):
                raise HeldByAnother
            seen, since = content, time.monotonic()
        if _is_free(content) or time.monotonic() - since > patience:
            if _create(folder, current + 1):
                return current + 1
        else:
            time.sleep(poll)


def _create(folder: Place, number: int) -> bool:
    """Create lease ``number``; True where this process made it and it is the one that counts."""
    if not create(_path(folder, number), _content(replace(_me(), attempt=uuid.uuid4().hex))):
        return False
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


def _lives_here(content: str) -> bool:
    """Tell whether a lease file names a process of this machine that is there, without listening to it."""
    try:
        holder = Holder(**json.loads(content))
    except (ValueError, TypeError):
        return False
    process = Process(holder.host, holder.pid, holder.started)
    return process.host == this_process().host and not has_ended(process)


def _beat(path: Place, me: Holder, ended: threading.Event, every: float) -> None:
    beat = 0
    while not ended.wait(every):
        beat += 1
        # a full disk or a network file system away for a moment: the next beat tries again
        with suppress(OSError, StoreError):
            if path.exists():
                _write(path, replace(me, beat=beat))


def _write(path: Place, holder: Holder) -> None:
    if isinstance(path, ObjectPath):
        write_whole(path, _content(holder))
        return
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(_content(holder))
    temporary.replace(path)


def _content(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode()


def _read(path: Place) -> str:
    """Read the lease file; where there is none, a released lease."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return json.dumps(asdict(Holder("", 0, "", released=True)))


def _current(folder: Place) -> str:
    return _read(_path(folder, max(_numbers(folder), default=0)))


def _numbers(folder: Place) -> list[int]:
    return [int(path.stem.removeprefix("lease-")) for path in folder.glob("lease-*.json")]


def _path(folder: Place, number: int) -> Place:
    return folder / f"lease-{number}.json"


def _me() -> Holder:
    return Holder(**asdict(this_process()))
