"""The study's storage as its one driver has it, and who that is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from optuna.storages import BaseStorage

from sweeps.study import storage
from sweeps.study.database.patience import NONE_NEEDED, Patience
from sweeps.study.database.url import without_password
from sweeps.study.driver.file_lock import FileLock
from sweeps.study.driver.lock import Driver, DriverLock
from sweeps.study.driver.object_lock import ObjectLock
from sweeps.study.driver.storage_lease import StorageLease
from sweeps.study.paths import StudyPaths
from trainables.places.object_path import ObjectPath


@dataclass(frozen=True)
class HeldStorage:
    """An open storage that only this driver writes to.

    ``check`` raises `TakenOver` once another driver has it; ``patience`` waits where it is away.
    """

    storage: BaseStorage
    check: Callable[[], None] = lambda: None
    patience: Patience = NONE_NEEDED


@contextmanager
def hold_storage(
    paths: StudyPaths, name: str, url: str | None, say: Callable[[str], None]
) -> Iterator[HeldStorage]:
    """Open the study's storage for the length of the block, for a driver that holds the study's folder.

    A journal lies in that folder; a database is held by a lease of its own, since drivers on other machines
    may know it and not the folder. Raises `SweepError` where another driver has it.
    """
    if url is None:
        storage.heal(paths.journal)
        yield HeldStorage(storage.open_storage(paths, None))
        return
    patience = Patience(without_password(url), say)
    with (
        storage.opened(paths, url) as opened,
        StorageLease(opened, name, _called(name, url), say).hold() as check,
    ):
        # a proxy is asked, and may be away
        yield HeldStorage(opened, lambda: patience.insist(check), patience)


def folder_lock(paths: StudyPaths, say: Callable[[str], None] = lambda _: None) -> DriverLock:
    """Return the lock of the study's folder."""
    if isinstance(paths.lock, ObjectPath):
        return ObjectLock(paths.lock, say)
    return FileLock(paths.lock)


def find_driver(paths: StudyPaths, name: str, url: str | None) -> Driver | None:
    """Return the driver that has the study now; None where none lives."""
    if url is None:
        return folder_lock(paths).driver()
    with storage.opened(paths, url) as opened:
        return StorageLease(opened, name, _called(name, url)).driver()


def _called(name: str, url: str) -> str:
    return f'"{name}" in {without_password(url)}'
