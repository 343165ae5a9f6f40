"""Files that are whole or absent."""

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainables.errors import StoreError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` so that ``path`` is at every moment the old file or the new one, also after a crash of the machine."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False))
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def sync(*paths: Path) -> None:
    """Bring files and folders to the disk itself."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def disk_full_explained(folder: Path) -> Iterator[None]:
    """A full disk while writing below ``folder`` becomes a `StoreError` that says what to do."""
    try:
        yield
    except Exception as error:
        # safetensors wraps the system's error in its own type, with the number in its text
        if getattr(error, "errno", None) in _DISK_FULL or any(f"os error {number}" in str(error) for number in _DISK_FULL):
            raise StoreError(
                f"the disk that holds {folder} is full; free some space and run the same command again, it goes on."
            ) from error
        raise
