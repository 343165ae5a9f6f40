"""A snapshot of a training: its files, and snapshot.json with their checksums.

In a file system its folder is renamed into its place when it is whole. In an object store its files are named
after their content, so that two who write the same snapshot at once mix nothing, and snapshot.json, written
last and by one alone, makes it one.
"""

import hashlib
import json
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruners.whole_files import sync
from trainables.errors import StoreError
from trainables.places.folders import remove_tree
from trainables.places.object_path import ObjectPath
from trainables.places.place import Place, create, matching
from trainables.store.disk import file_digest, write_json

FORMAT = 3  # raised when the code trains differently from the same configuration
_MANIFEST = "snapshot.json"


def address(spec: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of ``spec`` (JSON-able data, its keys in any order) and the format number."""
    text = json.dumps({"format": FORMAT, **spec}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Snapshot:
    """A whole and verified snapshot: its folder, the epochs trained by then and the metrics of each.

    ``folder`` is one of this machine, for as long as the snapshot is in use; ``place`` is where the snapshot
    is kept. ``trained_with`` holds what computed it and the networks that it comes from, the last to do so
    last.
    """

    folder: Path
    place: Place
    epoch: int
    history: list[dict[str, float]]
    trained_with: tuple[str, ...] = ()


def snapshots(trajectory: Place, pattern: str) -> list[Place]:
    """Return the snapshots in a trajectory's folder, in order; of an object store those that were ended."""
    if isinstance(trajectory, ObjectPath):
        return [manifest.parent for manifest in trajectory.glob(f"{pattern}/{_MANIFEST}")]
    return matching(trajectory, pattern)


def intact(folder: Place) -> Snapshot | None:
    """Read the snapshot in ``folder``; None where there is none, or a damaged one."""
    try:
        return verified(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def verified(folder: Place) -> Snapshot:
    """Read the snapshot in ``folder`` and check it.

    Raises OSError, ValueError, KeyError or TypeError when anything is amiss, `StoreError` where the store
    cannot be asked.
    """
    content = json.loads((folder / _MANIFEST).read_text())
    if (
        address({name: content[name] for name in ("epoch", "history", "trained_with", "files")})
        != content["digest"]
    ):
        raise ValueError(f"{_MANIFEST} does not match its own digest")
    if any(Path(name).name != name for name in content["files"]):
        raise ValueError(f"{_MANIFEST} names a file in another folder")
    local = folder if isinstance(folder, Path) else _fetched(folder, content["files"])
    snapshot = Snapshot(local, folder, content["epoch"], content["history"], tuple(content["trained_with"]))
    if local != folder:
        weakref.finalize(snapshot, shutil.rmtree, local, ignore_errors=True)
    for name, expected in content["files"].items():
        if file_digest(local / name) != expected:
            raise ValueError(f"{name} does not match its checksum")
    return snapshot


@contextmanager
def scratch(trajectory: Place) -> Iterator[Path]:
    """Yield an empty folder of this machine in which a snapshot of the trajectory is put together."""
    if isinstance(trajectory, ObjectPath):
        with tempfile.TemporaryDirectory(prefix="tombola-") as name:
            yield Path(name)
        return
    temporary = trajectory / f".tmp-{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(
    temporary: Path,
    final: Place,
    epoch: int,
    history: list[dict[str, float]],
    trained_with: list[str],
) -> None:
    """Make the files in ``temporary`` the snapshot ``final``, where there is none that is intact."""
    files = {path.name: file_digest(path) for path in sorted(temporary.iterdir())}
    content = {"epoch": epoch, "history": history, "trained_with": trained_with, "files": files}
    write_json(temporary / _MANIFEST, {**content, "digest": address(content)})
    if isinstance(final, ObjectPath):
        _upload(temporary, final, files)
        return
    sync(*temporary.iterdir(), temporary)
    if final.exists() and not intact(final):
        shutil.rmtree(final)
    if not final.exists():
        temporary.rename(final)
    sync(final.parent)


def _upload(temporary: Path, final: ObjectPath, files: Mapping[str, str]) -> None:
    if (final / _MANIFEST).exists():
        if intact(final):
            return
        remove_tree(final)
    for name, digest in files.items():
        final.bucket.write((final / _by_content(name, digest)).key, (temporary / name).read_bytes())
    create(final / _MANIFEST, (temporary / _MANIFEST).read_bytes())


def _fetched(folder: ObjectPath, files: Mapping[str, str]) -> Path:
    """Fetch a snapshot's files into a new folder of this machine."""
    local = Path(tempfile.mkdtemp(prefix="tombola-"))
    try:
        for name, digest in files.items():
            (local / name).write_bytes((folder / _by_content(name, digest)).read_bytes())
    except (OSError, StoreError):
        shutil.rmtree(local, ignore_errors=True)
        raise
    return local


def _by_content(name: str, digest: str) -> str:
    """Return the name of a snapshot's file in an object store."""
    return f"{Path(name).stem}-{digest}{Path(name).suffix}"
