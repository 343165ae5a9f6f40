"""A path in an object store, by the names that pathlib has for what is done with it."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from trainables.places.bucket import Bucket, bucket_at


@dataclass(frozen=True, order=True)
class ObjectPath:
    """The object or folder ``key`` of the bucket ``url``.

    A folder is there as long as an object lies below it. Every method that asks the server raises
    `StoreError` as `Bucket` does.
    """

    url: str
    key: str

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(self.url, f"{self.key}/{name}" if self.key else name)

    def __str__(self) -> str:
        return f"{self.url}/{self.key}" if self.key else self.url

    @property
    def bucket(self) -> Bucket:
        """Return the bucket, connected as the environment of this process says."""
        return bucket_at(self.url)

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """Return the name without its last suffix."""
        stem, _, suffix = self.name.rpartition(".")
        return stem or suffix

    @property
    def parent(self) -> "ObjectPath":
        """Return the folder that holds this."""
        return ObjectPath(self.url, self.key.rpartition("/")[0])

    def with_name(self, name: str) -> "ObjectPath":
        """Return the path of another name beside this."""
        return self.parent / name

    def resolve(self) -> "ObjectPath":
        """Return the path itself, which is always absolute."""
        return self

    def is_relative_to(self, other: object) -> bool:
        """Tell whether this is ``other`` or lies below it."""
        return isinstance(other, ObjectPath) and f"{self}/".startswith(f"{other}/")

    def is_file(self) -> bool:
        """Tell whether there is an object of this name."""
        return bool(self.key) and self.bucket.has(self.key)

    def is_dir(self) -> bool:
        """Tell whether something lies below this."""
        return self.bucket.is_folder(self.key)

    def exists(self) -> bool:
        """Tell whether this is there, as an object or a folder."""
        return self.is_file() or self.is_dir()

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder begins with what is written below it."""

    def read_bytes(self) -> bytes:
        """Read the object. Raises FileNotFoundError."""
        return self.bucket.read(self.key)

    def read_text(self, encoding: str = "utf-8") -> str:
        """Read the object as text. Raises FileNotFoundError."""
        return self.read_bytes().decode(encoding)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object; one that is not there stays so."""
        self.bucket.delete([self.key])

    def iterdir(self) -> Iterator["ObjectPath"]:
        """Yield what lies directly in this folder, in order."""
        return (ObjectPath(self.url, key) for key in self.bucket.children(self.key))

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Yield what lies below this folder by a pattern whose parts are names, without ``**``, in order."""
        first, _, rest = pattern.partition("/")
        for path in self.iterdir():
            if fnmatch.fnmatchcase(path.name, first):
                yield from path.glob(rest) if rest else (path,)
