"""The lock of a study in a folder: the operating system lets go of it when its holder dies, however it dies.

Nobody can take it from a driver that is merely paused, and no clock is asked.
"""

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path

from sweeps.errors import FAILED, SweepError
from sweeps.study.driver.lock import Driver, taken, this_driver

_GLANCE = 0.5  # seconds: `driver` may hold the lock for a moment, only to see whether it can
_UNKNOWN = Driver("a host that it has not noted yet", 0, "just now")


class FileLock:
    """A lock on the file ``path``, for all machines that see its folder where the file system knows flock."""

    def __init__(self, path: Path):
        self._path = path

    @contextmanager
    def hold(self) -> Iterator[Callable[[], None]]:
        """Hold the lock for the length of the block.

        Raises `SweepError` where another driver has it, or the file system has no locks.
        """
        with self._path.open("a+", encoding="utf-8") as file:
            deadline = time.monotonic() + _GLANCE
            while not self._is_got(file, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise taken(str(self._path.parent), _read(self._path) or _UNKNOWN)
                time.sleep(_GLANCE / 10)
            file.truncate(0)
            file.write(json.dumps(asdict(this_driver())))
            file.flush()
            try:
                yield lambda: None
            finally:
                file.truncate(0)

    def driver(self) -> Driver | None:
        """Return the driver that holds the lock now."""
        try:
            with self._path.open(encoding="utf-8") as file:
                return None if self._is_got(file, fcntl.LOCK_SH) else _read(self._path) or _UNKNOWN
        except FileNotFoundError:
            return None

    def _is_got(self, file: TextIOWrapper, kind: int) -> bool:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise SweepError(
                f"{self._path.parent}: this file system has no locks ({error.strerror}), and without them a "
                "second driver could not be kept out. Give --out a folder on another one.",
                FAILED,
            ) from error
        return True


def _read(path: Path) -> Driver | None:
    try:
        return Driver(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):  # its holder is just writing it
        return None
