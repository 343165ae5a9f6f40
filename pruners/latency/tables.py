"""Where measured times are kept: in this process, or in a file."""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pruners.errors import BadArtifact
from pruners.whole_files import write_whole

_FORMAT = 1

Measured = dict[str, Any]
"""What a measurement came to, as JSON-able data."""


class LatencyTables:
    """Measured times, each measured once in this process: of what `timed_on` describes, by part."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Measured] = {}

    def once(self, of: Mapping[str, Any], part: str, measure: Callable[[], Measured]) -> Measured:
        """Return what a part was measured to take, measured where nobody has yet."""
        key = digest_of(of), part
        if key not in self._known:
            with measuring_alone():
                self._known[key] = measure()
        return self._known[key]


class LatencyFile(LatencyTables):
    """Measured times that outlive the process, in one JSON file, which may hold those of several devices.

    It is written whole or not at all. Raises BadArtifact for a file that is none, OSError where it cannot be
    read or written.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)

    def once(self, of: Mapping[str, Any], part: str, measure: Callable[[], Measured]) -> Measured:
        """Return what the file has of a part; what it lacks is measured and written."""
        digest = digest_of(of)
        kept = self._read()
        if part in kept.get(digest, {}).get("parts", {}):
            return dict(kept[digest]["parts"][part])
        with measuring_alone():
            kept = self._read()  # another process may have measured it while this one waited
            if part not in kept.get(digest, {}).get("parts", {}):
                measured = measure()
                kept = self._read()  # what another machine wrote meanwhile stays
                table = kept.setdefault(digest, {"of": dict(of), "parts": {}})
                table["parts"].setdefault(part, measured)
                content = {"format": _FORMAT, "tables": kept}
                write_whole(self.path, json.dumps(content, indent=1).encode())
        return dict(kept[digest]["parts"][part])

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_bytes())
            tables = content["tables"] if content["format"] == _FORMAT else None
            if isinstance(tables, dict) and all(isinstance(one["parts"], dict) for one in tables.values()):
                return tables
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError):
            pass
        raise BadArtifact(f"{self.path} is damaged or no file of latency tables; remove it, or name another.")


in_memory = LatencyTables()
"""Those of this process, for whoever names no others."""


def tables_of(given: LatencyTables | str | Path | None) -> LatencyTables:
    """Return the tables that are named: a file's by its path, this process's for None."""
    if given is None:
        return in_memory
    return given if isinstance(given, LatencyTables) else LatencyFile(given)


def digest_of(of: Mapping[str, Any]) -> str:
    """Return a short name for what `timed_on` describes."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def measuring_alone() -> Iterator[None]:
    """Wait until no other process of this user measures times on this machine, and let none begin."""
    path = Path(tempfile.gettempdir()) / f"tombola-measures-{os.getuid()}.lock"
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
