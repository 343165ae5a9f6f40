"""The user's own metric: a function of a whole split's outputs and labels, or a class that counts batches."""

import inspect
from collections.abc import Callable
from numbers import Real
from typing import Any, Protocol

import torch
from torch import Tensor

from pruners.network.inputs import join_inputs, move_inputs
from trainables.errors import TaskError
from trainables.users_code.factory import describe


class Counter(Protocol):
    """What evaluation needs of a metric; our own `Metric` and torchmetrics' have it."""

    def update(self, outputs: Any, labels: Tensor, /) -> None:
        """Count a batch."""

    def compute(self) -> Any:
        """Return a number for all that was counted."""


class UsersMetric:
    """Runs the user's code ``found``, ``name`` in messages; whatever it raises becomes a `TaskError`."""

    def __init__(self, name: str, found: Callable[..., Any]):
        self._name = name
        self._counter: Counter = self._called(found) if counts_up(found) else _Whole(found)

    def update(self, outputs: Any, labels: Tensor) -> None:
        """Count a batch."""
        self._called(self._counter.update, outputs, labels)

    def compute(self) -> float:
        """Return the number. Raises `TaskError` where it is none."""
        value = self._called(self._counter.compute)
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TaskError(f"metric {self._name} gave {type(value).__name__}, not a number.")
        return float(value)

    def _called(self, function: Callable[..., Any], *given: Any) -> Any:
        try:
            return function(*given)
        except TaskError:
            raise
        except Exception as error:
            raise TaskError(f"metric {self._name} raised {describe(error)}.") from error


def counts_up(found: Callable[..., Any]) -> bool:
    """Tell whether it is a class with ``update`` and ``compute`` rather than a function.

    Such a class is made anew for every split.
    """
    return inspect.isclass(found) and all(
        callable(getattr(found, name, None)) for name in ("update", "compute")
    )


class _Whole:
    """Keeps a split's outputs and labels in the CPU's memory, for a function that looks at all at once."""

    def __init__(self, function: Callable[[Any, Tensor], Any]):
        self._function = function
        self._outputs: list[Any] = []
        self._labels: list[Tensor] = []

    def update(self, outputs: Any, labels: Tensor) -> None:
        self._outputs.append(move_inputs(outputs, torch.device("cpu")))
        self._labels.append(labels.cpu())

    def compute(self) -> Any:
        return self._function(join_inputs(self._outputs), torch.cat(self._labels))
