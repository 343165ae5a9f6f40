"""Whether a network, its data, its loss and its metrics belong together, told by one example."""

from typing import Any

import torch
from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.network.forward_pass import batch_that_runs, evaluating
from pruners.network.inputs import forward, input_tensors
from trainables.config import TaskConfig
from trainables.errors import TaskError
from trainables.task.data import Data
from trainables.task.loss import OF_CLASSES, OF_VALUES, aligned
from trainables.task.metrics import BUILT_IN, OF_CLASSES_ONLY, metrics_of
from trainables.task.outputs import class_scores
from trainables.users_code import factory


def outputs_needed(task: TaskConfig, examples: Data) -> int:
    """Return how many outputs a network needs.

    One for each class, or one for each value of an example's labels.
    """
    if task.loss in OF_VALUES or examples.num_classes is None:
        return examples.train.first()[1][0].numel()
    return examples.num_classes


def check_compatible(network: nn.Module, task: TaskConfig, examples: Data) -> None:
    """Check that the network takes an input, and its loss and metrics what comes out beside the labels.

    Raises `TaskError` where they do not. A loss or metric of the user's own is not tried here.
    """
    inputs, labels = examples.train.first()
    outputs, copies = _outputs(network, inputs, task)
    labels = torch.cat([labels] * copies)
    reads_classes = task.loss in OF_CLASSES or any(
        metric.reference in OF_CLASSES_ONLY for metric in metrics_of(task)
    )
    if task.loss in OF_CLASSES and labels.is_floating_point():
        others = ", ".join(OF_VALUES)
        raise TaskError(
            f"loss {task.loss} needs whole numbers as labels, and those of {task.data} are not; {others} "
            "take them."
        )
    if task.loss not in OF_VALUES and reads_classes and examples.num_classes is not None:
        _check_classes(outputs, labels, task, examples.num_classes)
    try:
        if task.loss in OF_VALUES:
            aligned(outputs, labels)
        for metric in metrics_of(task):
            if metric.reference in BUILT_IN:
                metric.counter(examples.labels_nothing).update(outputs, labels)
    except TaskError as error:
        raise TaskError(f"network {task.network} with data {task.data}, loss {task.loss}: {error}") from error


def _outputs(network: nn.Module, inputs: Any, task: TaskConfig) -> tuple[Any, int]:
    """Run the network on one example; return the outputs and how many copies of it (1 or 2) they are of.

    Two where the network takes no batch of one.
    """
    try:
        taken, copies = batch_that_runs(network, inputs)
    except PrunerError as error:
        shapes = " and ".join(str(tuple(tensor.shape[1:])) for tensor in input_tensors(inputs))
        reason = factory.describe(error.__cause__ or error)
        raise TaskError(
            f"network {task.network} cannot take inputs of {task.data}, shape {shapes}: {reason}."
        ) from error
    with evaluating(network):
        return forward(network, taken), copies


def _check_classes(outputs: Any, labels: Tensor, task: TaskConfig, num_classes: int) -> None:
    """Check the outputs against ``labels`` (1, ...): one class for each of their places."""
    outputs, positions = class_scores(outputs), tuple(labels.shape[1:])
    fits = (
        isinstance(outputs, Tensor)
        and outputs.dim() > 1
        and outputs.shape[1] >= num_classes
        and outputs.shape[2:] == positions
    )
    if not fits:
        got = (
            f"a tensor of shape {tuple(outputs.shape)}"
            if isinstance(outputs, Tensor)
            else type(outputs).__name__
        )
        raise TaskError(
            f"network {task.network} returns {got} for one input; logits {(1, num_classes, *positions)} are "
            "needed."
        )
