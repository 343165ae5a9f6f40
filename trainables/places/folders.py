"""Folders as a whole: written, read, removed.

A file system renames a folder into its place. An object store knows no folders: one is there, for whoever
reads it here, once its *manifest* is, the file that is written last and removed first.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.places.object_path import ObjectPath
from trainables.places.place import Place

MANIFESTS = ("snapshot.json", "spec.json")


def upload(local: Path, folder: ObjectPath) -> None:
    """Write the files of a local folder into one of an object store, the manifest last."""
    for path in sorted(local.iterdir(), key=lambda path: (path.name in MANIFESTS, path.name)):
        folder.bucket.write((folder / path.name).key, path.read_bytes())


def upload_tree(local: Path, folder: ObjectPath) -> None:
    """Write all files below a local folder into one of an object store."""
    for path in local.rglob("*"):
        if path.is_file() and not path.is_symlink():
            folder.bucket.write((folder / path.relative_to(local).as_posix()).key, path.read_bytes())


def download(folder: Place, target: Path) -> None:
    """Copy the files of a folder into the new folder ``target``."""
    if not isinstance(folder, ObjectPath):
        shutil.copytree(folder, target)
        return
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())


@contextmanager
def at_hand(folder: Place) -> Iterator[Path]:
    """Yield a folder of this machine with the files of ``folder``, which is that itself where it can be."""
    if not isinstance(folder, ObjectPath):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="tombola-") as temporary:
        download(folder, Path(temporary) / folder.name)
        yield Path(temporary) / folder.name


def remove_tree(folder: Place) -> None:
    """Remove a folder and all below it; one that is not there stays so."""
    if isinstance(folder, ObjectPath):
        keys = [entry.key for entry in folder.bucket.below(folder.key)]
        folder.bucket.delete(sorted(keys, key=lambda key: key.rpartition("/")[2] not in MANIFESTS))
    else:
        shutil.rmtree(folder, ignore_errors=True)


def last_written(folder: Place) -> float:
    """Return when something was last written below ``folder``, in seconds since the epoch.

    That is now where something is just being written.
    """
    if isinstance(folder, ObjectPath):
        written = [entry.modified.timestamp() for entry in folder.bucket.below(folder.key)]
        return max(written, default=time.time())
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        return time.time()
