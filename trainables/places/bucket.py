"""One bucket of an object store: what is asked of it, and the waiting while its server is away.

obstore asks it (the object stores of Apache Arrow's Rust library): it writes under a condition
(If-None-Match, If-Match), looks anew at every listing and needs no other package. The pair that comes to mind
first, s3fs under universal_pathlib, has no write under If-Match, remembers listings, and holds botocore at a
version that boto3, which Ray's cluster launcher needs, cannot share.
"""

import functools
import importlib.util
import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trainables.errors import StoreError

_log = logging.getLogger(__name__)

_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for AWS's own files",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
}
SCHEMES = tuple(_CREDENTIALS)
AT_FIRST = 10.0
"""Seconds for which a server that may never have been there is waited for."""
PATIENCE = 600.0
"""Seconds for which a server that goes away in the middle of the work is waited for."""
_LONGEST_PAUSE = 15.0
_STATUS = r"status code: (\d{3})"
_NO_ROLE = "169.254.169.254"  # where a machine in the cloud asks for its role's credentials


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
        self._store = _connected(url)
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
                if _has_no_bucket(error):
                    raise self._refused(error) from error
                raise
            except (AlreadyExistsError, PreconditionError):
                raise
            except BaseError as error:
                if _is_final(error):
                    raise self._refused(error) from error
                if time.monotonic() + pause - since > patience:
                    raise StoreError(
                        f"{self.url} cannot be reached{self._server}: {_reason(error)}; "
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
                "%s does not answer (%s); waiting up to %.0f minutes.", self.url, _reason(error), minutes
            )

    def _refused(self, error: Exception) -> StoreError:
        if _has_no_bucket(error):
            return StoreError(f"{self.url}: there is no such bucket{self._server}.")
        credentials = _CREDENTIALS[self.url.partition("://")[0]]
        return StoreError(
            f"{self.url}: the object store{self._server} refuses: {_reason(error)}. Credentials come from the "
            f"environment ({credentials}), or the role of the machine."
        )

    @property
    def _server(self) -> str:
        """Say which server is asked, where the environment names one."""
        return f" at {_address()}" if self.url.startswith("s3://") and _address() else ""


def bucket_at(url: str) -> Bucket:
    """Return the bucket of that URL, connected as the environment says. Raises `StoreError`."""
    told = ("AWS_", "GOOGLE_", "AZURE_")
    return _bucket(url, tuple(sorted(pair for pair in os.environ.items() if pair[0].startswith(told))))


@functools.cache
def _bucket(url: str, environment: tuple[tuple[str, str], ...]) -> Bucket:
    return Bucket(url)


def _connected(url: str) -> Any:
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store, from_url
    except ImportError as error:
        raise StoreError(f"{url} needs the package obstore: pip install 'tombola[s3]'.") from error
    scheme, _, name = url.partition("://")
    options: dict[str, Any] = {
        "client_options": {
            "allow_http": _address().startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=30),
            "timeout": timedelta(hours=1),  # of a whole request: a network may be large and a line slow
        },
        # one that is soon over; the longer waiting is ours, which a person can interrupt
        "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=5)},
    }
    try:
        if scheme != "s3":
            return from_url(url, **options)
        return S3Store(name, **options, **_aws_credentials())
    except (BaseError, ValueError) as error:
        raise StoreError(f"{url} cannot be used: {_reason(error)}.") from error


def _aws_credentials() -> dict[str, Any]:
    """Return what finds credentials in AWS's own files, where the environment names none."""
    if "AWS_ACCESS_KEY_ID" in os.environ or importlib.util.find_spec("boto3") is None:
        return {}
    from boto3 import Session
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = Session()
    if session.get_credentials() is None:
        return {}
    return {"credential_provider": Boto3CredentialProvider(session)}


def _address() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _has_no_bucket(error: Exception) -> bool:
    """Tell whether the server says that there is no such bucket, in S3's and Google's words or in Azure's."""
    return "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error)


def _is_final(error: Exception) -> bool:
    """Tell whether asking again would bring the same answer: the server understood, and refuses."""
    if _NO_ROLE in str(error):
        return True
    status = re.search(_STATUS, str(error))
    return status is not None and status[1].startswith("4") and status[1] not in ("408", "425", "429")


def _reason(error: Exception) -> str:
    """Return what a server or the network says, in one line."""
    text = str(error)
    if _NO_ROLE in text:
        return "no credentials were found, and this machine has no role that brings some"
    code, message = (re.search(f"<{name}>([^<]*)</{name}>", text) for name in ("Code", "Message"))
    if code:
        return " ".join(f"{code[1]}, {message[1]}".split()).rstrip(".") if message else code[1]
    if status := re.search(_STATUS, text):  # the answer to a question for the head of an object has no body
        return f"status {status[1]}"
    return text.partition("\n")[0].rpartition(" - ")[2].strip().rstrip(".")
