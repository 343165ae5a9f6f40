"""What a study's driver says of its trials, one file a trial, until W&B's own file of the run is whole.

The driver appends a line and goes on; another process (`sweeps.tracking.recorder`) makes W&B's runs of it. A
line is there as soon as it is written, whatever kills the driver next, so a run can always be made anew.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

Event = dict[str, Any]
"""``begin`` with what a run is, ``point`` with metrics, or ``end`` with how the trial ended."""

_FOLDER = "unfinished"


def journals(folder: Path) -> dict[str, Path]:
    """Return the journals in W&B's folder of a study, by the trial's key."""
    return {unquote(path.stem): path for path in sorted((folder / _FOLDER).glob("*.jsonl"))}


def append(folder: Path, key: str, event: Event) -> None:
    """Append an event to the trial's journal. Raises OSError."""
    path = folder / _FOLDER / f"{quote(key, safe='')}.jsonl"
    line = json.dumps(event, default=_plain).encode() + b"\n"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(file).st_size
        torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        os.write(file, b"\n" + line if torn else line)
    finally:
        os.close(file)


class Follower:
    """A reader of one journal while it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def events(self) -> Iterator[Event]:
        """Yield the events since the last call; a line that was cut off is none."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def last_event(path: Path) -> Mapping[str, Any]:
    """Return the journal's last event, an empty one where it holds none."""
    *_, last = {}, *Follower(path).events()
    return last


def _plain(value: Any) -> Any:
    """Return NumPy's and torch's numbers as Python's, anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)
