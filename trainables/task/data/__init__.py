"""Data sets by name.

To add one: a file here with a function ``(*, options) -> Data``, and a line in `BUILT_IN`.
"""

import json
from typing import Any

import torch

from trainables import seeds
from trainables.errors import TaskError, nearest
from trainables.task.data.data import Data
from trainables.task.data.users import checked
from trainables.users_code import factory
from trainables.users_code.source_digest import source_digests

BUILT_IN = {  # imported when asked for: torchvision and scikit-learn take seconds
    "digits": "trainables.task.data.digits:digits",
    "mnist1d": "trainables.task.data.mnist1d:mnist1d",
    "fashion_mnist": "trainables.task.data.fashion_mnist:fashion_mnist",
    "cifar10": "trainables.task.data.cifar:cifar10",
    "cifar100": "trainables.task.data.cifar:cifar100",
    "image_folder": "trainables.task.data.image_folder:image_folder",
    "voc_folder": "trainables.task.data.voc_folder:voc_folder",
}

_loaded: dict[str, Data] = {}


def resolved_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Fill in a built-in's defaults: ``options`` as the data set will get them.

    Raises `TaskError` for an unknown data set or an unknown option of a built-in.
    """
    if factory.is_reference(name):
        return dict(options)
    if name not in BUILT_IN:
        raise TaskError(f"there is no data set {name!r}; {nearest(name, BUILT_IN)}")
    return factory.with_defaults(factory.resolve(BUILT_IN[name], "data set"), name, "data set", options)


def load(name: str, options: dict[str, Any]) -> Data:
    """Load the data set, once per process and state of the user's code.

    Raises `TaskError`, naming what is wrong.
    """
    options = resolved_options(name, options)
    code: dict[str, str] = {}
    if factory.is_reference(name):
        factory.resolve(name, "data")
        code = source_digests([name])
    key = json.dumps([name, options, code], sort_keys=True, default=repr)
    if key not in _loaded:
        if factory.is_reference(name):
            _loaded[key] = checked(_users(name, options), name)
        else:
            _loaded[key] = factory.call(
                factory.resolve(BUILT_IN[name], "data set"), name, "data set", **options
            )
    return _loaded[key]


def _users(name: str, options: dict[str, Any]) -> Any:
    """Call the user's factory; data that it draws from torch are the same in every process."""
    cpu = torch.device("cpu")
    with seeds.own_random_numbers(cpu):
        seeds.seed_everything(0, "data", 0, cpu)
        return factory.call(factory.resolve(name, "data"), name, "data factory", **options)
