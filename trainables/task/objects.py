"""Functions and tensors in place of a task's names: for a sweep that is written in Python."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from trainables.task.data.data import Data
from trainables.task.data.users import checked
from trainables.users_code.given import hold, reference_to

_FUNCTIONS = ("network", "data", "loss")


def with_references(task: Mapping[str, Any]) -> dict[str, Any]:
    """Put names in the place of functions and data that a task's section holds.

    ``network``, ``data`` and ``loss`` may be functions (or classes), ``data`` also what a data factory
    returns: splits of tensors. Raises `TaskError` where a function's source, or the data, cannot be taken.
    """
    named = dict(task)
    for key, value in task.items():
        if key in _FUNCTIONS and callable(value):
            named[key] = reference_to(value, f"task.{key}")
        elif key == "data" and isinstance(value, Mapping | tuple | Data):
            data = checked(value, "task.data")
            named[key] = hold(partial(_returned, data), f"data {data.digest} {data.num_classes}".encode())
    return named


def _returned(data: Data) -> Data:
    return data
