"""What leaves the store again: a cache, of which anything may go that nobody is working on."""

import re
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from trainables.store.lease import is_held

_TRASH = ".removed-"


def remove(store: Path, unwanted: Callable[[Path], bool]) -> list[Path]:
    """Remove the trajectories whose folder is ``unwanted``, except those that somebody holds.

    Returns the folders removed. A trajectory leaves whole or not at all. Who takes its lease in that very
    moment finds that it is lost, and trains elsewhere anew.
    """
    removed = []
    for folder in sorted(store.glob("[0-9a-f][0-9a-f]/*")):
        if re.fullmatch("[0-9a-f]{64}", folder.name) and not is_held(folder) and unwanted(folder):
            with suppress(FileNotFoundError):  # another driver was faster
                folder.rename(store / f"{_TRASH}{uuid.uuid4().hex}")
                removed.append(folder)
    for trash in store.glob(f"{_TRASH}*"):  # also what was cut off when it was last removed
        shutil.rmtree(trash, ignore_errors=True)
    return removed


def last_written(folder: Path) -> float:
    """Return when something was last written below ``folder``, in seconds since the epoch.

    That is now where something is just being written.
    """
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        return time.time()
