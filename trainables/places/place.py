"""A place: a path of a file system or of an object store, and what differs between the two."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias, TypeVar

from pruners import whole_files
from trainables.places.connection import SCHEMES
from trainables.places.object_path import ObjectPath

Place: TypeAlias = Path | ObjectPath
Item = TypeVar("Item")
Result = TypeVar("Result")
_AT_ONCE = 16


def is_url(text: str) -> bool:
    """Tell whether a text names a place by a URL."""
    return "://" in text


def place_of(text: str | Place) -> Place:
    """Return the place that a path or a URL names.

    Raises ValueError for a URL of another kind than `SCHEMES`: pathlib would make a folder of it, and does
    where it is given one.
    """
    if isinstance(text, Path) and text.parts[:1] in [(f"{scheme}:",) for scheme in SCHEMES]:
        raise ValueError(f"{text} was a URL before pathlib took it for a path; give it as text")
    if not isinstance(text, str):
        return text
    if not is_url(text):
        return Path(text)
    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in SCHEMES or not bucket:
        known = ", ".join(f"{known}://bucket/folder" for known in SCHEMES)
        raise ValueError(f"{text} is no place for files; known are {known}, and folders")
    return ObjectPath(f"{scheme}://{bucket}", "/".join(part for part in key.split("/") if part))


def matching(folder: Place, pattern: str) -> list[Place]:
    """Return what lies in a folder by a pattern whose parts are names, in order; nothing where it is not."""
    return sorted(folder.glob(pattern)) if isinstance(folder, Path) else list(folder.glob(pattern))


def each(where: Place, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return what a function that reads below ``where`` gives for each item.

    Of an object store, where one waits for each answer, many are asked for side by side.
    """
    if not isinstance(where, ObjectPath):
        return [function(item) for item in items]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(function, items))


def check(place: Place) -> None:
    """Check that an object store answers. Raises `StoreError`; a file system always does."""
    if isinstance(place, ObjectPath):
        place.bucket.check()


def write_whole(place: Place, content: bytes) -> None:
    """Write ``content`` so that ``place`` is at every moment the old content or the new one.

    Raises OSError, or `StoreError` for an object store.
    """
    if isinstance(place, ObjectPath):
        place.bucket.write(place.key, content)
    else:
        whole_files.write_whole(place, content)


def create(place: Place, content: bytes) -> bool:
    """Write a new file or object; False where there is one of that name already. Raises as `write_whole`.

    Of several processes exactly one succeeds. ``content`` must tell its writer.
    """
    if isinstance(place, ObjectPath):
        return place.bucket.create(place.key, content)
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError:  # a full disk: an empty file would say nothing, for ever
        with suppress(OSError):
            place.unlink(missing_ok=True)
        raise
    return True


def append(place: Place, line: bytes) -> None:
    """Append a line to a file or an object. Raises as `write_whole`."""
    if not isinstance(place, ObjectPath):
        with place.open("ab") as file:
            file.write(line)
        return
    written = False
    while not written:
        try:
            before, tag = place.bucket.read_with_tag(place.key)
        except FileNotFoundError:
            written = place.bucket.create(place.key, line)
        else:
            written = place.bucket.replace(place.key, before + line, tag)


def modified(place: Place) -> float:
    """Return when a file or object was written, in seconds since the epoch. Raises FileNotFoundError."""
    if isinstance(place, ObjectPath):
        found = [e for e in place.bucket.below(place.parent.key) if e.key == place.key]
        if not found:
            raise FileNotFoundError(str(place))
        return found[0].modified.timestamp()
    return place.stat().st_mtime
