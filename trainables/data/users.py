"""The user's own data: what their ``package.module:factory`` returned, checked."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from trainables.data.data import Data, from_splits
from trainables.data.splits import Split, StreamedSplit, TensorSplit
from trainables.errors import TaskError, nearest

_SPLITS = ("train", "validation", "test")


def checked(returned: Any, name: str) -> Data:
    """A `Data` from what the factory ``name`` returned: a `Data`, or a mapping with "train", "validation" and "test".

    Each is a pair of tensors (inputs, integer labels) of equal length, taken as they are, or a map-style Dataset. Datasets need
    ``classes`` on the train split or a "num_classes" beside the splits. Raises `TaskError` for anything else.
    """
    if isinstance(returned, Data):
        return returned
    if not isinstance(returned, Mapping):
        raise TaskError(f"data factory {name} returned {type(returned).__name__}, not a dict with {', '.join(_SPLITS)} (or a Data).")
    for key in returned:
        if key not in (*_SPLITS, "num_classes"):
            raise TaskError(f"data factory {name} returned the unknown split {key!r}; {nearest(str(key), (*_SPLITS, 'num_classes'))}")
    missing = [split for split in _SPLITS if split not in returned]
    if missing:
        raise TaskError(f"data factory {name} returned no {missing[0]!r}; a dict with {', '.join(_SPLITS)} is needed.")
    splits = [_split(returned[split], f"data factory {name}: {split}") for split in _SPLITS]
    return from_splits(splits, _num_classes(returned, splits, name))


def _split(given: Any, where: str) -> Split:
    if isinstance(given, Dataset) and not isinstance(given, IterableDataset):
        if not hasattr(given, "__len__") or len(given) == 0:
            raise TaskError(f"{where} is an empty dataset or one without a length.")
        if not isinstance(given[0][0], Tensor):
            raise TaskError(f"{where} gives {type(given[0][0]).__name__} as input, not a tensor.")
        return StreamedSplit(given)
    if not (isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(part, Tensor) for part in given)):
        raise TaskError(f"{where} is {type(given).__name__}, neither a pair of tensors (inputs, labels) nor a map-style Dataset.")
    inputs, labels = given
    if len(inputs) != len(labels) or not len(labels):
        raise TaskError(f"{where} has {len(inputs)} inputs and {len(labels)} labels; equally many, and at least one, are needed.")
    if labels.is_floating_point() or labels.is_complex():
        raise TaskError(f"{where} has labels of type {labels.dtype}; integer classes are needed.")
    return TensorSplit(inputs.cpu(), labels.long().cpu())


def _num_classes(returned: Mapping[str, Any], splits: list[Split], name: str) -> int:
    if "num_classes" in returned:
        return int(returned["num_classes"])
    if all(isinstance(split, TensorSplit) for split in splits):
        return int(torch.stack([split.labels.max() for split in splits if isinstance(split, TensorSplit)]).max()) + 1
    classes = getattr(returned["train"], "classes", None)
    if classes is None:
        raise TaskError(f'data factory {name} returned a Dataset that does not say its classes; add "num_classes" to the dict.')
    return len(classes)
