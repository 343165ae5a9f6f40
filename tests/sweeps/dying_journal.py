"""A journal whose driver is killed at a chosen write."""

import json
from pathlib import Path
from typing import Any, Literal

from optuna.storages.journal import JournalFileBackend

Moment = Literal["before", "within", "after"]


class Killed(BaseException):
    """What kill -9 is to a driver: no handler of ours may catch it."""


class DyingJournal(JournalFileBackend):
    """Optuna's journal file; the write number ``fatal`` (from 0) ends the driver before, within or after it.

    It writes what Optuna writes but waits for no disk: a process that dies loses nothing that it wrote,
    only a machine does.
    """

    def __init__(self, path: Path, fatal: int | None, moment: Moment):
        super().__init__(str(path))
        self.writes = 0
        self._path, self._fatal, self._moment = path, fatal, moment

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self.writes += 1
        if self.writes - 1 != self._fatal:
            return self._append(lines)
        if self._moment == "after":
            self._append(lines)
        elif self._moment == "within":
            self._append(lines[: len(lines) * 2 // 3])
            self._path.with_name(self._path.name + ".lock").symlink_to(self._path)
        raise Killed

    def _append(self, lines: str) -> None:
        with self._path.open("a") as file:
            file.write(lines)
