"""Optuna's journal in an object store, which appends to nothing: an object for each entry, numbered in order.

    entries/0000000001.json   created with If-None-Match: of two writers one alone has a number
    chunks/0000000256.jsonl   the entries up to that number again, so that a long study opens with few reads

A line holds the SHA-256 of what follows it: the writer, and the operations of one write. Who cannot create
the next entry was taken over: that keeps out also a driver that was paused and wakes. Optuna's own snapshots
of a journal are pickled, and are not used.
"""

import uuid
from itertools import chain
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from sweeps.errors import FAILED, SweepError
from sweeps.study.journal import entry
from sweeps.study.where import explained
from trainables.places.object_path import ObjectPath
from trainables.places.place import create, each, write_whole

_CHUNK = 256  # entries


class ObjectJournal(BaseJournalBackend):
    """The journal in the folder ``root``, to which one driver at a time writes and which anybody reads.

    Raises `SweepError` where another driver wrote meanwhile, and for an entry that is damaged.
    """

    def __init__(self, root: ObjectPath):
        self._root = root
        self._me = uuid.uuid4().hex
        self._next = 1  # number of the entry after the last one known
        self._operations: list[dict[str, Any]] = []  # those that are still to be asked for
        self._first = 0  # the number of the first of them, as Optuna counts
        self._open_chunk: list[bytes] = []
        self._writes = False

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Return the operations from that one on.

        A writer asks nobody: it knows what it wrote, and finds out by writing where others do.
        """
        if not self._writes:
            with explained():
                self._read_on()
        del self._operations[: log_number_from - self._first]
        self._first = max(self._first, log_number_from)
        return list(self._operations)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations as one entry."""
        line = entry.written(self._me, logs)
        with explained():
            is_mine = create(self._entry(self._next), line)
        if not is_mine:
            raise SweepError(
                f"{self._root.parent}: another driver has taken this study over, since this one was not "
                "heard of for too long. It stops here; nothing that had ended is lost.",
                FAILED,
            )
        self._writes = True
        self._take(line)
        self._close_chunks()

    def _read_on(self) -> None:
        """Read the entries that are new, at first those of whole chunks."""
        if self._next == 1:
            self._read_whole_chunks()
            after = self._entry(self._next - 1).key if self._next > 1 else None
            entries = self._root / "entries"
            listed = [ObjectPath(self._root.url, e.key) for e in self._root.bucket.below(entries.key, after)]
            for path, line in zip(listed, each(self._root, ObjectPath.read_bytes, listed), strict=True):
                if path != (wanted := self._entry(self._next)):
                    raise SweepError(f"{wanted}: this entry of the study's journal is missing.", FAILED)
                self._take(line)
            return
        while True:
            try:
                line = self._entry(self._next).read_bytes()
            except FileNotFoundError:
                return
            self._take(line)

    def _read_whole_chunks(self) -> None:
        chunks = list((self._root / "chunks").iterdir())
        expected = [self._chunk(_CHUNK * count) for count in range(1, len(chunks) + 1)]
        # a driver that was killed before it wrote one leaves a gap, and the entries are there anyway
        whole = [path for path, wanted in zip(chunks, expected, strict=True) if path == wanted]
        for path, content in zip(whole, each(self._root, ObjectPath.read_bytes, whole), strict=True):
            try:
                operations = [entry.read(line, path) for line in content.splitlines(keepends=True)]
            except SweepError:  # its entries tell the same
                return
            self._operations += chain.from_iterable(operations)
            self._next += len(operations)

    def _take(self, line: bytes) -> None:
        self._operations += entry.read(line, self._entry(self._next))
        self._open_chunk.append(line)
        self._next += 1

    def _close_chunks(self) -> None:
        while len(self._open_chunk) >= _CHUNK:
            last = self._next - 1 - len(self._open_chunk) + _CHUNK
            write_whole(self._chunk(last), b"".join(self._open_chunk[:_CHUNK]))
            del self._open_chunk[:_CHUNK]

    def _entry(self, number: int) -> ObjectPath:
        return self._root / "entries" / f"{number:010}.json"

    def _chunk(self, last: int) -> ObjectPath:
        return self._root / "chunks" / f"{last:010}.jsonl"
