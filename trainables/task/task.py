"""A task: a network, its data and its loss, as a sweep file names them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pruners.network.inputs import Inputs
from trainables import seeds
from trainables.config import TaskConfig
from trainables.store.disk import file_digest
from trainables.task import checkpoint, data, networks
from trainables.task.compatibility import check_compatible, outputs_needed
from trainables.task.data import Data
from trainables.users_code import factory
from trainables.users_code.source_digest import source_digests


def load_data(task: TaskConfig) -> Data:
    """Load the task's data, once per process. Raises `TaskError`."""
    return data.load(task.data, task.data_options)


def example_input(task: TaskConfig) -> Inputs:
    """Return the first training input as a batch of one, on the CPU, as a network is called with it."""
    return load_data(task).train.example()


def build_network(task: TaskConfig, seed: int = 0) -> nn.Module:
    """Build the task's network on the CPU, initialised from ``seed`` or with the checkpoint's weights.

    Raises `TaskError` when there is no such network, its factory fails, it cannot take the data's inputs, or
    the task's loss and metrics cannot take what it makes of them.
    """
    cpu, examples = torch.device("cpu"), load_data(task)
    with seeds.own_random_numbers(cpu):
        seeds.seed_everything(seed, "initialisation", 0, cpu)
        network = networks.build(
            task.network, task.network_options, examples.input_shape, outputs_needed(task, examples)
        )
        check_compatible(network, task, examples)
    if task.checkpoint:
        checkpoint.restore(network, task.checkpoint)
    return network


def task_identity(task: TaskConfig) -> dict[str, Any]:
    """Describe all that determines what training starts from, as plain data.

    Options are resolved, the user's source and files by digest.
    """
    return {
        "network": task.network,
        "network_options": networks.resolved_options(task.network, task.network_options),
        "data": task.data,
        "data_options": data.resolved_options(task.data, task.data_options),
        "data_digest": load_data(task).digest,
        "loss": task.loss,
        "checkpoint": file_digest(Path(task.checkpoint).expanduser()) if task.checkpoint else None,
        "sources": sources(task),
    }


def sources(task: TaskConfig, parts: Sequence[str] = ("network", "data", "loss")) -> dict[str, str]:
    """Digest the user's modules that ``parts`` of the task pull in, as loaded here, by module name.

    Raises `TaskError` for what cannot be imported.
    """
    named = {part: name for part in parts if factory.is_reference(name := getattr(task, part))}
    for part, name in named.items():
        factory.resolve(name, part)
    return source_digests(named.values())
