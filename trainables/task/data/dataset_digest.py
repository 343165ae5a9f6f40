"""What a data set that streams is known by, without reading all of it."""

import hashlib
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainables import seeds
from trainables.errors import StoreWarning, TaskError
from trainables.task.data.streaming import own_numbers
from trainables.users_code import factory

# bytes of an array, or of all files together, that are read; of more than that, so many spread evenly
_READ = 2**30
_LEAST_OF_A_FILE = 2**10
_EXAMPLES = 2**26  # bytes of examples that are read, spread evenly
_FEWEST_EXAMPLES = 64
_READ_TWICE = 4
# classes whose examples say nothing more than what they hold; by name, as importing torchvision takes seconds
_TOLD_BY_PARTS = {
    *(f"torch.utils.data.dataset.{name}" for name in ("Subset", "ConcatDataset", "TensorDataset")),
    *(f"torchvision.datasets.folder.{name}" for name in ("DatasetFolder", "ImageFolder")),
}

Hash = Any  # hashlib's own type has no public name


def dataset_digest(dataset: Any, known: dict[int, str]) -> str:
    """Return the SHA-256 of what a map-style data set holds; of its own ``digest``, a text, where it has one.

    Read are its tensors, arrays, tables and lists (its labels, usually) up to 1 GiB each in full; of the
    files that it lists the paths below their common folder, the sizes and the contents, these up to 1 GiB in
    full and beyond it a part of every file; the data sets in it; and a sample of examples, each after seeding
    torch, numpy and random, so that augmentation gives the same. No time of a file counts: copies are alike.
    ``known`` collects the digests by data set: splits of one folder share it. Raises `TaskError` for a
    ``digest`` that is no text and for an example that cannot be read.
    """
    if id(dataset) not in known:
        known[id(dataset)] = "itself"
        hasher = hashlib.sha256(f"{_class(dataset)} {len(dataset)}".encode())
        own = getattr(dataset, "digest", None)
        if own is None:
            _add_contents(hasher, dataset, known)
        elif isinstance(own, str):
            hasher.update(own.encode())
        else:
            raise TaskError(
                f"the digest of the data set {type(dataset).__name__} is {type(own).__name__}, not a text."
            )
        known[id(dataset)] = hasher.hexdigest()
    return known[id(dataset)]


def _add_contents(hasher: Hash, dataset: Any, known: dict[int, str]) -> None:
    attributes = {
        id(value): (name, value)
        for name, value in sorted(getattr(dataset, "__dict__", {}).items(), reverse=True)
    }  # one under two names once
    folders = [
        value for _, value in attributes.values() if isinstance(value, str | Path) and Path(value).is_dir()
    ]
    for name, value in reversed(attributes.values()):
        value = value.to_numpy().tolist() if hasattr(value, "to_numpy") else value  # a table of pandas
        inner = value if isinstance(value, list | tuple) else [value]
        if inner and all(isinstance(part, Dataset) for part in inner):
            hasher.update(f"{name} {[dataset_digest(part, known) for part in inner]}".encode())
        elif files := _files(value, folders):
            hasher.update(name.encode())
            _add_files(hasher, files)
        elif _is_plain(value):
            hasher.update(name.encode())
            _add(hasher, value)
    if _class(dataset) not in _TOLD_BY_PARTS:
        _add_examples(hasher, dataset)


def _class(dataset: Any) -> str:
    return f"{type(dataset).__module__}.{type(dataset).__qualname__}"


def _is_plain(value: Any) -> bool:
    """Tell whether all of a value is numbers and texts, so that it is known by them."""
    if isinstance(value, Tensor | np.ndarray):
        return True
    if not isinstance(value, list | tuple | range) or not value:
        return False
    return all(
        isinstance(part, str | int | float | np.generic | Tensor | np.ndarray) or _is_plain(part)
        for part in value
    )


def _add(hasher: Hash, value: Any) -> None:
    """Add tensors, arrays, numbers and texts, however they are put together; of anything else its type."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        rows = _spread(len(value), value.nbytes) if value.dim() else None
        tensor = value if rows is None else value[rows]
        hasher.update(f"{value.dtype}{tuple(value.shape)}".encode())
        hasher.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        rows = _spread(len(value), value.nbytes) if value.ndim else None
        hasher.update(f"{value.dtype}{value.shape}".encode())
        hasher.update(np.ascontiguousarray(value if rows is None else value[rows]).tobytes())
    elif isinstance(value, np.ndarray | np.generic):
        hasher.update(repr(value.tolist()).encode())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            hasher.update(repr(key).encode())
            _add(hasher, value[key])
    elif isinstance(value, list | tuple):
        hasher.update(f"{len(value)}(".encode())
        for part in value:
            _add(hasher, part)
    else:
        hasher.update(
            (
                repr(value)
                if isinstance(value, str | bytes | int | float | range)
                else type(value).__qualname__
            ).encode()
            + b","
        )


def _spread(length: int, size: int) -> list[int] | None:
    """Choose the rows to be read of an array of ``size`` bytes; None for all."""
    return None if size <= _READ else _evenly(length, max(1, math.ceil(length * _READ / size)))


def _evenly(length: int, count: int) -> list[int]:
    """Choose ``count`` of ``length`` places, the first and the last among them."""
    return [round(i * (length - 1) / max(1, count - 1)) for i in range(count)]


def _files(value: Any, folders: Sequence[str | Path]) -> list[tuple[Path, str]]:
    """Find every file in a list of paths, or of rows that hold them, and what stands beside it (a label).

    Paths may start from one of ``folders``.
    """
    if not isinstance(value, list | tuple) or not value:
        return []
    rows = [entry if isinstance(entry, list | tuple) else (entry,) for entry in value]
    starts = {
        place: start for place, part in enumerate(rows[0]) if (start := _start(part, folders)) is not None
    }
    if not starts or any(len(row) != len(rows[0]) for row in rows):
        return []
    return [
        (start / row[place], repr([part for other, part in enumerate(row) if other not in starts]))
        for row in rows
        for place, start in starts.items()
    ]


def _start(part: Any, folders: Sequence[str | Path]) -> Path | None:
    """Find the folder from which a path leads to a file; None where it is no path or leads nowhere."""
    if not isinstance(part, str | Path):
        return None
    return next((start for start in (Path.cwd(), *map(Path, folders)) if (start / part).is_file()), None)


def _add_files(hasher: Hash, files: Sequence[tuple[Path, str]]) -> None:
    paths = [path for path, _ in files]
    folder = os.path.commonpath([path.parent for path in paths])
    sizes = [path.stat().st_size if path.is_file() else -1 for path in paths]
    share = None if sum(sizes) <= _READ else max(_LEAST_OF_A_FILE, _READ // len(paths))
    for path, (_, beside), size in zip(paths, files, sizes, strict=True):
        hasher.update(f"{path.relative_to(folder).as_posix()} {beside} {size}\n".encode())
        if size > 0:
            _add_file(hasher, path, size, share)


def _add_file(hasher: Hash, path: Path, size: int, share: int | None) -> None:
    """Add a file, or ``share`` bytes: half from its middle, half from its end, as beginnings are alike."""
    with path.open("rb") as file:
        if share is None or size <= share:
            while block := file.read(2**20):
                hasher.update(block)
            return
        for start in (size // 2, size - share // 2):
            file.seek(start)
            hasher.update(file.read(share // 2))


def _add_examples(hasher: Hash, dataset: Any) -> None:
    size = max(1, _bytes(_example(dataset, 0)))
    indices = _evenly(len(dataset), min(len(dataset), max(_FEWEST_EXAMPLES, _EXAMPLES // size)))
    twice = [[_of_example(_example(dataset, index)) for index in indices[:_READ_TWICE]] for _ in range(2)]
    same = [one == other for one, other in zip(*twice, strict=True)]
    if not all(same):
        warnings.warn(
            f"the data set {type(dataset).__name__} gives another example each time that one is read, "
            "whatever is seeded: replaced examples cannot be noticed. Give it an attribute digest, a text "
            "that says "
            f"which data it is.",
            StoreWarning,
            stacklevel=2,
        )
        return
    for index in indices:
        hasher.update(_of_example(_example(dataset, index)))


def _of_example(example: Any) -> bytes:
    hasher = hashlib.sha256()
    _add(hasher, example)
    return hasher.digest()


def _bytes(value: Any) -> int:
    """Measure the tensors and arrays in an example, in bytes."""
    if isinstance(value, Tensor | np.ndarray):
        return value.nbytes
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return sum(_bytes(part) for part in parts)


def _example(dataset: Any, index: int) -> Any:
    """Read one example with every global generator seeded by its index and put back after it."""
    with own_numbers(seeds.derive(0, "digest", index)):
        try:
            return dataset[index]
        except Exception as error:
            raise TaskError(
                f"the data set {type(dataset).__name__} gives no example {index}: {factory.describe(error)}."
            ) from error
