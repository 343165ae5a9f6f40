"""What is computed of a network once, kept as files in the store for every trial that asks for it.

An entry is addressed by the hash of all that its content follows from, as a trajectory is, and is removed as
one is:

    <root>/<first two digits>/<key>/
        spec.json                    what the key is the hash of
        lease-<n>.json               who works on it
        computed_for.json            the trial for which it was begun
        <part>-<SHA-256>.<suffix>    a file for each part, whose name tells its content's checksum
"""

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from trainables.errors import StoreWarning
from trainables.places.place import Place, matching, write_whole
from trainables.store.disk import disk_full_explained, write_json
from trainables.store.lease import is_held, lease
from trainables.store.snapshot import address
from trainables.store.trajectory import removal_explained

_TENSORS, _DATA = "safetensors", "json"
_FOR = "computed_for.json"


class Computed:
    """One entry of the store; ``owner`` is the folder of the trial that it is computed for."""

    def __init__(self, root: Place, spec: Mapping[str, Any], owner: str):
        self.key = address(spec)
        self.folder = root / self.key[:2] / self.key
        self._spec, self._owner = spec, owner

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the entry alone for the length of the block, waiting for another holder.

        Raises `StoreError` when the disk is full, `LeaseLost` where the entry is removed meanwhile.
        """
        with disk_full_explained(self.folder), removal_explained(self.folder), lease(self.folder):
            if not (self.folder / "spec.json").exists():
                write_json(self.folder / _FOR, {"trial": self._owner})
                write_json(self.folder / "spec.json", dict(self._spec))
            yield

    def is_held(self) -> bool:
        """Tell whether somebody may be computing it."""
        return is_held(self.folder)

    def is_empty(self) -> bool:
        """Tell whether it has no tensors yet."""
        return not any(self.folder.glob(f"*.{_TENSORS}"))

    def tensors(self, part: str) -> dict[str, Tensor] | None:
        """Read a part that is tensors; None where there is none, or a damaged one."""
        content = self._read(part, _TENSORS)
        return None if content is None else load(content)

    def keep_tensors(self, part: str, tensors: Mapping[str, Tensor]) -> None:
        """Write a part that is tensors, whole or not at all."""
        self._write(part, _TENSORS, save({name: tensor.contiguous() for name, tensor in tensors.items()}))

    def data(self, part: str) -> dict[str, Any] | None:
        """Read a part that is JSON-able data; None where there is none, or a damaged one."""
        content = self._read(part, _DATA)
        found: dict[str, Any] | None = None if content is None else json.loads(content)
        return found

    def keep_data(self, part: str, data: Mapping[str, Any]) -> None:
        """Write a part that is JSON-able data, to the bit, whole or not at all."""
        self._write(part, _DATA, json.dumps(data).encode())

    def _read(self, part: str, suffix: str) -> bytes | None:
        for path in matching(self.folder, f"{_name(part)}-*.{suffix}"):
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # removed in this moment
                continue
            if hashlib.sha256(content).hexdigest() == path.stem.rpartition("-")[2]:
                return content
            warnings.warn(f"{path} is damaged and is computed again.", StoreWarning, stacklevel=3)
            path.unlink(missing_ok=True)
        return None

    def _write(self, part: str, suffix: str, content: bytes) -> None:
        name = f"{_name(part)}-{hashlib.sha256(content).hexdigest()}.{suffix}"
        write_whole(self.folder / name, content)


def _name(part: str) -> str:
    """Return what a part's file begins with: names of layers may hold anything."""
    return hashlib.sha256(part.encode()).hexdigest()[:16]


def computed_for(folder: Place) -> set[str]:
    """Return the trial for which the entry in ``folder`` was begun; nothing where it is no such entry."""
    path = folder / _FOR
    return {json.loads(path.read_text())["trial"]} if path.exists() else set()
