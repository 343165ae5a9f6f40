"""One driver a study: a lock that the operating system lets go of when its holder dies, however it dies."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.errors import FAILED, SweepError


@contextmanager
def only_driver(path: Path) -> Iterator[None]:
    """Hold ``path`` for as long as the block runs.

    A `SweepError` names the other driver where there is one.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise SweepError(
                f"{path.parent}: this study is already being run by {holder}. Wait for it, or stop it first.",
                FAILED,
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
