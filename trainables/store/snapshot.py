"""A snapshot of a training: its files, and snapshot.json with their checksums."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.store.disk import file_digest

FORMAT = 3  # raised when the code trains differently from the same configuration


def address(spec: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of ``spec`` (JSON-able data, its keys in any order) and the format number."""
    text = json.dumps({"format": FORMAT, **spec}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Snapshot:
    """A whole and verified snapshot: its folder, the epochs trained by then and the metrics of each.

    ``trained_with`` holds what computed it and the networks that it comes from, the last to do so last.
    """

    folder: Path
    epoch: int
    history: list[dict[str, float]]
    trained_with: tuple[str, ...] = ()


def intact(folder: Path) -> Snapshot | None:
    try:
        return verified(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def verified(folder: Path) -> Snapshot:
    """Read the snapshot in ``folder`` and check it.

    Raises OSError, ValueError, KeyError or TypeError when anything is amiss.
    """
    content = json.loads((folder / "snapshot.json").read_text())
    if (
        address({name: content[name] for name in ("epoch", "history", "trained_with", "files")})
        != content["digest"]
    ):
        raise ValueError("snapshot.json does not match its own digest")
    for name, expected in content["files"].items():
        if file_digest(folder / name) != expected:
            raise ValueError(f"{name} does not match its checksum")
    return Snapshot(folder, content["epoch"], content["history"], tuple(content["trained_with"]))
