"""The user's own data: what their ``package.module:factory`` returned, checked."""

from collections.abc import Mapping
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler

from pruners import PrunerError
from pruners.network.inputs import batch_size, input_tensors
from trainables.errors import TaskError, nearest
from trainables.task.data.data import UNLABELLED, Data, from_splits
from trainables.task.data.splits import Split, StreamedSplit, TensorSplit
from trainables.task.data.streaming import as_labels, parted
from trainables.users_code.factory import describe

_SPLITS = ("train", "validation", "test")


def checked(returned: Any, name: str) -> Data:
    """Make a `Data` of what the factory ``name`` returned.

    That is a `Data`, a mapping with "train", "validation" and "test", or a tuple of these. Each is a pair
    (inputs, labels) of tensors or numpy arrays, inputs also as a tuple or dictionary of several; a dictionary
    with the labels among the inputs; a map-style Dataset; or a DataLoader, of which dataset and collate
    function are taken. Datasets of single integer labels need ``classes`` on the train split or a
    "num_classes" beside the splits. Raises `TaskError` for anything else.
    """
    if isinstance(returned, Data):
        return returned
    if isinstance(returned, tuple) and len(returned) == len(_SPLITS):
        returned = dict(zip(_SPLITS, returned, strict=True))
    if not isinstance(returned, Mapping):
        raise TaskError(
            f"data factory {name} returned {_type_name(returned)}, not a dict with {', '.join(_SPLITS)}, "
            "a tuple of these, or a Data."
        )
    for key in returned:
        if key not in (*_SPLITS, "num_classes"):
            raise TaskError(
                f"data factory {name} returned the unknown split {key!r}; "
                f"{nearest(str(key), (*_SPLITS, 'num_classes'))}"
            )
    missing = [split for split in _SPLITS if split not in returned]
    if missing:
        raise TaskError(
            f"data factory {name} returned no {missing[0]!r}; a dict with {', '.join(_SPLITS)} is needed."
        )
    splits = [_split(returned[split], f"data factory {name}: {split}") for split in _SPLITS]
    _check_alike(splits, name)
    return from_splits(splits, _num_classes(returned, splits, name))


def _split(given: Any, where: str) -> Split:
    try:
        split = _streamed(given, where) if isinstance(given, DataLoader | Dataset) else _held(given, where)
    except (TaskError, PrunerError) as error:
        raise error if str(error).startswith(where) else TaskError(f"{where}: {error}") from error
    return split


def _streamed(given: DataLoader[Any] | Dataset[Any], where: str) -> StreamedSplit:
    loader = given if isinstance(given, DataLoader) else None
    dataset: Any = loader.dataset if loader else given
    if isinstance(dataset, IterableDataset):
        raise TaskError(
            f"{where} is an IterableDataset, whose examples have no numbers; a map-style Dataset is needed."
        )
    if not hasattr(dataset, "__len__") or len(dataset) == 0:
        raise TaskError(f"{where} is an empty dataset or one without a length.")
    if loader and not isinstance(loader.sampler, SequentialSampler | RandomSampler):
        raise TaskError(
            f"{where} is a DataLoader with a {type(loader.sampler).__name__}, which would have no effect: "
            "give its dataset."
        )
    split = (
        StreamedSplit(dataset, loader.num_workers, collate=loader.collate_fn)
        if loader
        else StreamedSplit(dataset)
    )
    try:
        inputs, labels = split.first()
        count = batch_size(inputs), len(labels)
    except (TaskError, PrunerError) as error:
        raise TaskError(f"{where}: {str(error).rstrip('.')}.") from error
    except Exception as error:
        raise TaskError(f"{where}: reading its first example failed with {describe(error)}.") from error
    if count != (1, 1):
        raise TaskError(f"{where}: one example made a batch of {count[0]} inputs and {count[1]} labels.")
    return split


def _held(given: Any, where: str) -> TensorSplit:
    if isinstance(given, Mapping):
        inputs, labels = parted(given)
    elif isinstance(given, tuple | list) and len(given) == 2:
        inputs, labels = given
    else:
        raise TaskError(
            f"{where} is {_type_name(given)}, neither a pair of tensors or arrays (inputs, labels) "
            "nor a map-style Dataset."
        )
    inputs, labels = _in_tensors(inputs), as_labels(labels)
    count = batch_size(inputs)
    if not labels.dim() or count != len(labels) or not count:
        told = len(labels) if labels.dim() else "no"
        raise TaskError(
            f"{where} has {count} inputs and {told} labels; equally many, and at least one, are needed."
        )
    return TensorSplit(inputs, labels.cpu())


def _in_tensors(inputs: Any) -> Any:
    """Turn arrays among inputs into tensors on the CPU, numpy's float64 into the float32 of networks."""
    if isinstance(inputs, Mapping):
        return {name: _in_tensors(part) for name, part in inputs.items()}
    if isinstance(inputs, tuple | list):
        return tuple(_in_tensors(part) for part in inputs)
    if isinstance(inputs, numpy.ndarray):
        made = torch.from_numpy(numpy.ascontiguousarray(inputs))
        return made.float() if made.dtype == torch.float64 else made
    return inputs.cpu() if isinstance(inputs, Tensor) else inputs


def _check_alike(splits: list[Split], name: str) -> None:
    """Raise `TaskError` where splits differ in the shape of inputs, or in the kind or shape of labels."""
    kinds = []
    for split in splits:
        inputs, labels = split.first()
        shapes = [tuple(tensor.shape[1:]) for tensor in input_tensors(inputs)]
        kinds.append((len(shapes), "floats" if labels.is_floating_point() else "integers", labels.dim()))
    for split_name, kind in zip(_SPLITS[1:], kinds[1:], strict=True):
        if kind[1:] != kinds[0][1:]:
            raise TaskError(
                f"data factory {name}: the labels of train are {kinds[0][1]} of {kinds[0][2]} dimensions, "
                f"those of {split_name} {kind[1]} of {kind[2]}."
            )
        if kind != kinds[0]:
            raise TaskError(
                f"data factory {name}: an example of train has {kinds[0][0]} inputs, one of {split_name} "
                f"{kind[0]}."
            )


def _num_classes(returned: Mapping[str, Any], splits: list[Split], name: str) -> int | None:
    """Count the classes that integer labels tell apart.

    None for other labels, and where nobody says and each example has several.
    """
    labels = splits[0].first()[1]
    if returned.get("num_classes") is not None:
        given = returned["num_classes"]
        if isinstance(given, bool) or not isinstance(given, int | numpy.integer) or given < 1:
            raise TaskError(
                f"data factory {name}: num_classes must be a whole number of at least 1, not {given!r}."
            )
        return None if labels.is_floating_point() else int(given)
    if labels.is_floating_point():
        return None
    if all(isinstance(split, TensorSplit) for split in splits):
        return max(_largest(split.labels) for split in splits if isinstance(split, TensorSplit)) + 1
    if labels.dim() > 1:
        return None
    classes = getattr(returned["train"], "classes", None)
    if classes is None:
        raise TaskError(
            f"data factory {name} returned a Dataset that does not say its classes; "
            'add "num_classes" to the dict.'
        )
    return len(classes)


def _largest(labels: Tensor) -> int:
    """Return the largest class; 255 in label maps (N, H, W, ...) is none where nothing is above it."""
    if labels.dim() > 2 and int(labels.max()) == UNLABELLED:
        labels = labels[labels != UNLABELLED]
    return int(labels.max()) if labels.numel() else 0


def _type_name(value: object) -> str:
    return type(value).__name__
