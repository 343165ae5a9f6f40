"""The Optuna study of a study directory, in a journal beside it or in any database that Optuna knows."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from sweeps.errors import FAILED, SweepError
from sweeps.study.database.opening import disconnect, open_database
from sweeps.study.database.outage import outage
from sweeps.study.database.url import without_password
from sweeps.study.journal.object_journal import ObjectJournal
from sweeps.study.paths import StudyPaths
from sweeps.study.provenance import read_provenance
from trainables.places.object_path import ObjectPath
from trainables.places.place import Place

DIRECTORY, ID = "tombola:directory", "tombola:id"
"""The study attributes that tie a study in a database to its one directory: its path, and the id within."""


def check(paths: StudyPaths, name: str, url: str | None) -> None:
    """Check that the study's database can be used, and holds this directory's study or none.

    Raises `SweepError` where the database cannot be used, holds a study of that name from another directory,
    or has lost this one's.
    """
    held = None if url is None and not paths.journal.exists() else _held(paths, name, url)
    if held is None and paths.trials.exists():
        raise SweepError(
            f'{paths.root}: holds trials of the study "{name}", '
            f"and {without_password(url) if url else paths.journal.name} does not. "
            "Give back the one it was run with, or another folder (--out).",
            FAILED,
        )
    if url is None or held is None or _is_tied(held, paths):
        return  # a journal goes where its directory goes; a database serves many directories
    owner = held.get(DIRECTORY)
    if owner not in (None, str(paths.root.resolve())):
        raise SweepError(
            f'The database already holds a study "{name}", run from {owner}. '
            f"Go on there (tombola resume {owner}), or give this sweep another name."
        )


def _held(paths: StudyPaths, name: str, url: str | None) -> dict[str, Any] | None:
    """Read what we say of the study of that name, where the storage holds one."""
    with opened(paths, url) as storage:
        if name not in optuna.get_all_study_names(storage):
            return None
        return optuna.load_study(study_name=name, storage=storage).user_attrs


def create(
    paths: StudyPaths,
    name: str,
    storage: BaseStorage | str | None,
    directions: Sequence[Literal["maximize", "minimize"]],
) -> optuna.Study:
    """Create a study, or load the one of this name that this very directory began.

    ``storage`` is one that is open already, or its URL. Only for a study that `check` lets pass.
    """
    opened = storage if isinstance(storage, BaseStorage) else open_storage(paths, storage)
    study = optuna.create_study(
        study_name=name, storage=opened, directions=list(directions), load_if_exists=True
    )
    return study


def tie(study: optuna.Study, paths: StudyPaths, study_id: str) -> None:
    """Write into the study which directory it belongs to, so that no other one goes on with it."""
    study.set_user_attr(DIRECTORY, str(paths.root.resolve()))
    study.set_user_attr(ID, study_id)


@contextmanager
def reading(paths: StudyPaths, url: str | None) -> Iterator[BaseStorage]:
    """Open the storage of a study that is there, as `opened` does.

    Raises `SweepError` where its journal is missing.
    """
    if url is None and not paths.journal.exists():
        raise SweepError(f"{paths.root}: the study's journal ({paths.journal.name}) is missing.", FAILED)
    with opened(paths, url) as storage:
        yield storage


def load(paths: StudyPaths, name: str, storage: BaseStorage | str | None) -> optuna.Study:
    """Load a study that the directory holds; ``storage`` is one that is open already, or its URL.

    Raises `SweepError` where it is damaged, out of reach or not there.
    """
    if not isinstance(storage, BaseStorage):
        with reading(paths, storage) as opened_here:
            return load(paths, name, opened_here)
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError as error:
        raise SweepError(f'{paths.root}: the storage holds no study "{name}".', FAILED) from error


def heal(journal: Place) -> None:
    """Undo what a driver killed in the middle of a write leaves behind: half a line, and Optuna's lock file.

    Only the driver that holds the study's lock may call this.
    """
    if isinstance(journal, ObjectPath):
        return
    journal.with_name(journal.name + ".lock").unlink(missing_ok=True)
    if not journal.exists():
        return
    with journal.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            os.fsync(file.fileno())


def _is_tied(held: Mapping[str, Any], paths: StudyPaths) -> bool:
    """Tell whether the directory is the study's, wherever it is mounted now."""
    return paths.provenance.exists() and read_provenance(paths)["id"] == held.get(ID)


@contextmanager
def opened(paths: StudyPaths, url: str | None) -> Iterator[BaseStorage]:
    """Open the database at ``url``, or the directory's journal, for the length of the block.

    The connections to a database are closed then; who reads on from a study that was loaded opens new ones.
    Raises `SweepError` where it is damaged or out of reach, then or later in the block.
    """
    storage = open_storage(paths, url)
    try:
        yield storage
    except Exception as error:
        reason = outage(error)
        if url is None or reason is None or isinstance(error, SweepError):
            raise
        shown = without_password(url)
        raise SweepError(f"The study's database {shown} is away: {reason}.", FAILED) from error
    finally:
        disconnect(storage)


def open_storage(paths: StudyPaths, url: str | None) -> BaseStorage:
    """Open the database at ``url``, or the directory's journal.

    Raises `SweepError` where it is damaged or out of reach.
    """
    if url is None and isinstance(paths.journal, ObjectPath):
        return JournalStorage(ObjectJournal(paths.journal))
    if url is None:
        try:
            return JournalStorage(JournalFileBackend(str(paths.journal)))
        except (ValueError, KeyError, AssertionError) as error:
            raise SweepError(
                f"{paths.journal}: the journal is damaged and cannot be read: {error}.", FAILED
            ) from error
    return open_database(url)
