"""What the store asks of the disk: JSON written whole, digests of files, and the word on a full one."""

import errno
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainables.errors import StoreError
from trainables.places.place import Place, write_whole

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_json(path: Place, content: dict[str, Any]) -> None:
    """Write ``content`` as JSON, whole or not at all. Raises ValueError for what JSON does not know."""
    write_whole(path, json.dumps(content, indent=1, allow_nan=False).encode())


def file_digest(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def disk_full_explained(folder: Place) -> Iterator[None]:
    """Turn a full or read-only disk, met while writing below ``folder``, into a `StoreError`.

    It says what to do.
    """
    try:
        yield
    except Exception as error:
        # safetensors wraps the system's error in its own type, with the number in its text
        if getattr(error, "errno", None) in _DISK_FULL or any(
            f"os error {number}" in str(error) for number in _DISK_FULL
        ):
            raise StoreError(
                f"the disk that holds {folder} is full; free some space and run the same command again, it "
                "goes on."
            ) from error
        if getattr(error, "errno", None) == errno.EROFS:
            raise StoreError(
                f"{folder} cannot be written to: its file system is read-only; make it writable and run the "
                "same command again, it goes on."
            ) from error
        raise
