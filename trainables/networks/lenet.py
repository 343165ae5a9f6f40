"""LeNet-300-100 (LeCun et al., Proc. IEEE 1998), fully connected, as the pruning literature uses it."""

import math
from itertools import pairwise

from torch import nn


def lenet_300_100(input_shape: tuple[int, ...], num_classes: int, *, dropout: float = 0.0) -> nn.Module:
    """Two hidden layers of 300 and 100 units on the flattened input; ``dropout`` after each."""
    widths = (math.prod(input_shape), 300, 100)
    hidden = [
        layer
        for inputs, outputs in pairwise(widths)
        for layer in (nn.Linear(inputs, outputs), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else []))
    ]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], num_classes))
