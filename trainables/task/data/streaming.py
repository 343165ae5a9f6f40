"""Reading a map-style dataset, item by item, each with random numbers of its own, and taking items apart."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pruners.network.inputs import Inputs
from trainables.errors import TaskError
from trainables.seeds import derive

LABELS = ("labels", "label")
"""The keys of an item that is a dictionary under which its label may stand."""


@dataclass(frozen=True, eq=False)
class SeededItems(Dataset[Any]):
    """A dataset whose items draw from a seed of their own: how many processes read it changes nothing."""

    examples: Any
    seed: int

    def __getitem__(self, index: int) -> Any:
        with own_numbers(derive(self.seed, "item", index)):
            return self.examples[index]


@dataclass(frozen=True)
class Collate:
    """Makes a batch (inputs, labels) of items; ``join`` stacks them as they are."""

    join: Callable[[list[Any]], Any]

    def __call__(self, items: list[Any]) -> tuple[Inputs, Tensor]:
        """Return inputs and labels of the batch that ``items`` make."""
        inputs, labels = parted(self.join(items))
        return inputs, as_labels(labels)


@contextmanager
def own_numbers(seed: int) -> Iterator[None]:
    """Seed torch's, numpy's and Python's global generators for the length of the block; they are put back."""
    state, python_state = torch.get_rng_state(), random.getstate()
    numpy_state = numpy.random.get_state()  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    numpy.random.seed(seed % 2**32)  # noqa: NPY002 - it is the legacy one that transforms draw from
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
        numpy.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def parted(item: Any) -> tuple[Any, Any]:
    """Return an item's, or a batch's, inputs and labels.

    Its last part is the label where it is a tuple or list; a dictionary holds it under "labels" or "label".
    What is left are the inputs. Raises `TaskError` for anything else.
    """
    if isinstance(item, Mapping):
        if key := next((name for name in LABELS if name in item), None):
            return {name: part for name, part in item.items() if name != key}, item[key]
        raise TaskError(
            f"a dataset's dictionary has no {' or '.join(map(repr, LABELS))}; it has "
            f"{', '.join(map(repr, item))}."
        )
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) > 1:
        *inputs, label = item
        return inputs[0] if len(inputs) == 1 else tuple(inputs), label
    raise TaskError(
        f"a dataset gives {type(item).__name__}, not (input, label) or a dictionary with the label."
    )


def as_labels(labels: Any) -> Tensor:
    """Return labels as int64 or, where they are no whole numbers, float32.

    Raises `TaskError` for what is no tensor or array.
    """
    if isinstance(labels, numpy.ndarray):
        labels = torch.from_numpy(labels)
    if not isinstance(labels, Tensor) or labels.is_complex():
        raise TaskError(
            f"labels are {labels.dtype if isinstance(labels, Tensor) else type(labels).__name__}, not "
            "numbers in a tensor."
        )
    return labels.float() if labels.is_floating_point() else labels.long()
