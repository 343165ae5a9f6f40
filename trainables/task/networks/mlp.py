"""Fully connected networks of any depth."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from trainables.task.networks.initialization import initialized


def mlp(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    widths: Sequence[int] = (100, 100),
    dropout: float = 0.0,
    initialization: str = "torch",
) -> nn.Module:
    """Build hidden layers of ``widths`` units on the flattened input, then a layer of the classes.

    Each hidden layer has ReLU and ``dropout``. The default is the size that MNIST-1D's authors train
    (Greydanus & Kobak, ICML 2024). Raises `TaskError` for an unknown ``initialization``.
    """
    sizes = (math.prod(input_shape), *widths)
    hidden = [
        layer
        for inputs, outputs in pairwise(sizes)
        for layer in (nn.Linear(inputs, outputs), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else []))
    ]
    return initialized(
        nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], num_classes)), initialization
    )
