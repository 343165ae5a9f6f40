"""One bucket of an object store: what is asked of it, and the waiting while its server is away.

obstore asks it (the object stores of Apache Arrow's Rust library): it writes under a condition
(If-None-Match, If-Match), looks anew at every listing and needs no other package. The pair that comes to mind
first, s3fs under universal_pathlib, has no write under If-Match, remembers listings, and holds botocore at a
version that boto3, which Ray's cluster launcher needs, cannot share.
"""

import functools
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainables.errors import StoreError
from trainables.places.answers import has_no_bucket, is_final, reason
from trainables.places.connection import CREDENTIALS, connected, server_of

_log = logging.getLogger(__name__)

AT_FIRST = 10.0
"""Seconds for which a server that may never have been there is waited for."""
PATIENCE = 600.0
"""Seconds for which a server that goes away in the middle of the work is waited for."""
_LONGEST_PAUSE = 15.0


@dataclass(frozen=True)
class Entry:
    """An object as a listing tells of it: its key, and when it was written, by the server's clock."""

    key: str
    modified: datetime


class Bucket:
    """A bucket by its URL, as ``s3://name``.

    Every method raises `StoreError` when the server refuses, or is away for longer than `PATIENCE`.
    """

    def __init__(self, url: str):
        self.url = url
        self._store = connected(url)
        self._has_answered = self._is_away = False

    def check(self) -> None:
        """Check that the server answers, knows the bucket and lets this process in. Raises `StoreError`.

        One that has never answered is not waited for as long.
        """
        patience = PATIENCE if self._has_answered else AT_FIRST
        self._ask(lambda: self._store.list_with_delimiter("tombola-is-there"), patience)

    def read(self, key: str) -> bytes:
        """Read an object. Raises FileNotFoundError."""
        return self.read_with_tag(key)[0]

    def read_with_tag(self, key: str) -> tuple[bytes, Any]:
        """Read an object and what `replace` knows this version of it by. Raises FileNotFoundError."""

        def read() -> tuple[bytes, Any]:
            found = self._store.get(key)
            tag = {name: found.meta[name] for name in ("e_tag", "version") if found.meta[name]}
            return bytes(found.bytes()), tag

        content: tuple[bytes, Any] = self._ask(read)
        return content

    def write(self, key: str, content: bytes) -> None:
        """Write an object whole, over another of that name."""
        self._ask(lambda: self._store.put(key, content))

    def create(self, key: str, content: bytes) -> bool:
        """Write an object where there is none of that name; tell whether ``content`` is now there.

        An attempt whose answer was lost on the way counts: ``content`` must tell its writer.
        """
        return self._write_if("create", key, content)

    def replace(self, key: str, content: bytes, tag: Any) -> bool:
        """Write an object over the version that ``tag`` names; tell whether ``content`` is now there."""
        return self._write_if(tag, key, content)

    def _write_if(self, mode: Any, key: str, content: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError

        try:
            self._ask(lambda: self._store.put(key, content, mode=mode, use_multipart=False))
        except (AlreadyExistsError, PreconditionError, NotFoundError):
            try:
                return self.read(key) == content
            except FileNotFoundError:
                return False
        return True

    def has(self, key: str) -> bool:
        """Tell whether there is an object of that name."""
        try:
            self._ask(lambda: self._store.head(key))
        except FileNotFoundError:
            return False
        return True

    def is_folder(self, key: str) -> bool:
        """Tell whether an object lies below ``key``: some servers show folders that hold none."""
        return bool(self._ask(lambda: next(iter(self._store.list(key or None)), None)))

    def below(self, folder: str, after: str | None = None) -> list[Entry]:
        """List the objects below a folder in order of their keys, those behind the key ``after`` alone."""
        found = self._ask(lambda: self._store.list(folder or None, offset=after).collect())
        return sorted(
            (Entry(one["path"], one["last_modified"]) for one in found), key=lambda entry: entry.key
        )

    def children(self, folder: str) -> list[str]:
        """List the keys of the objects and folders directly in a folder."""
        found = self._ask(lambda: self._store.list_with_delimiter(folder or None))
        return sorted([*found["common_prefixes"], *(one["path"] for one in found["objects"])])

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects in this order; one that is not there is passed over."""
        if wanted := list(keys):
            self._ask(lambda: self._store.delete(wanted))

    def _ask(self, question: Callable[[], Any], patience: float | None = None) -> Any:
        """Ask the server and return its answer, waiting with growing pauses while it is away."""
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        since, pause, patience = time.monotonic(), 0.5, patience or PATIENCE
        while True:
            try:
                answer = question()
                break
            except FileNotFoundError as error:
                if has_no_bucket(error):
                    raise self._refused(error) from error
                raise
            except (AlreadyExistsError, PreconditionError):
                raise
            except BaseError as error:
                if is_final(error):
                    raise self._refused(error) from error
                if time.monotonic() + pause - since > patience:
                    raise StoreError(
                        f"{self.url} cannot be reached{server_of(self.url)}: {reason(error)}; "
                        "what is there is intact, and the same command goes on from it."
                    ) from error
                if patience > AT_FIRST:
                    self._say_away(error)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._has_answered, self._is_away = True, False
        return answer

    def _say_away(self, error: Exception) -> None:
        """Say that the server is waited for, once for as long as it is away."""
        if not self._is_away:
            self._is_away = True
            minutes = PATIENCE / 60
            _log.warning(
                "%s does not answer (%s); waiting up to %.0f minutes.", self.url, reason(error), minutes
            )

    def _refused(self, error: Exception) -> StoreError:
        if has_no_bucket(error):
            return StoreError(f"{self.url}: there is no such bucket{server_of(self.url)}.")
        credentials = CREDENTIALS[self.url.partition("://")[0]]
        return StoreError(
            f"{self.url}: the object store{server_of(self.url)} refuses: {reason(error)}. "
            f"Credentials come from the environment ({credentials}), or the role of the machine."
        )


def bucket_at(url: str) -> Bucket:
    """Return the bucket of that URL, connected as the environment says. Raises `StoreError`."""
    told = ("AWS_", "GOOGLE_", "AZURE_")
    return _bucket(url, tuple(sorted(pair for pair in os.environ.items() if pair[0].startswith(told))))


@functools.cache
def _bucket(url: str, environment: tuple[tuple[str, str], ...]) -> Bucket:
    return Bucket(url)
