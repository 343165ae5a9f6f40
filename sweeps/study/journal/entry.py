"""An entry of the journal: a line with the SHA-256 of what follows it, its writer and its operations."""

import hashlib
import json
from typing import Any

from sweeps.errors import FAILED, SweepError
from trainables.places.object_path import ObjectPath


def written(writer: str, operations: list[dict[str, Any]]) -> bytes:
    """Return the line of an entry."""
    content = json.dumps({"writer": writer, "operations": operations}).encode()
    return hashlib.sha256(content).hexdigest().encode() + b" " + content + b"\n"


def read(line: bytes, path: ObjectPath) -> list[dict[str, Any]]:
    """Return the operations of the entry at ``path``. Raises `SweepError` where it is damaged."""
    digest, _, content = line.rstrip(b"\n").partition(b" ")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise SweepError(
            f"{path}: this entry of the study's journal is damaged; bring back an older version of it, "
            "or begin the study anew in another folder (what the store holds is not trained again).",
            FAILED,
        )
    operations: list[dict[str, Any]] = json.loads(content)["operations"]
    return operations
