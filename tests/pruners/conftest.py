"""Independent reference.

Every option of a layer by one SVD a slice, and dense weights from decomposed modules.
"""

import itertools
from types import SimpleNamespace

import pytest
from torch import nn

from pruners.testing.lowrank.networks import batch as images_of_it
from pruners.testing.lowrank.networks import small_network
from pruners.testing.lowrank.reference import dense_weight, errors, folded, truncated


class Branches(nn.Module):
    """Layers side by side, each on its own input of ones, so that any mixture of shapes makes a network."""

    def __init__(self, layers, sizes):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.sizes = sizes
        self.inputs = [self._input(layer, size) for layer, size in zip(layers, sizes, strict=True)]

    @staticmethod
    def _input(layer, size):
        return (layer.in_channels, size, size) if isinstance(layer, nn.Conv2d) else (size, layer.in_features)

    def forward(self, x):
        return [
            layer(x.new_ones(len(x), *shape)) for layer, shape in zip(self.layers, self.inputs, strict=True)
        ]


def options(layer):
    """(rank, num_subspaces, params, errors) of every choice that saves something; dense as (0, 0, ...)."""
    groups, rows, columns = folded(layer).shape
    channels = layer.weight.shape[1]
    found = [(0, 0, layer.weight.numel(), dict.fromkeys(("max", "thm1", "sum", "true", "frobenius"), 0.0))]
    for number in (n for n in range(1, channels + 1) if channels % n == 0):
        for rank in range(1, min(rows, columns // number) + 1):
            params = groups * rank * columns + groups * rows * number * rank
            if params < layer.weight.numel():
                found.append((rank, number, params, errors(layer, rank, number)))
    return found


def best(layers, unit_costs, budget, metric):
    """The lexicographically smallest descending layer errors over all combinations within the budget, and
    their number.
    """
    choices = [
        [(o[2] * cost, o[3][metric]) for o in options(layer)]
        for layer, cost in zip(layers, unit_costs, strict=True)
    ]
    allowed = [combo for combo in itertools.product(*choices) if sum(c for c, _ in combo) <= budget]
    return min((sorted((round(e, 8) for _, e in combo), reverse=True) for combo in allowed), default=None)


@pytest.fixture(scope="session")
def reference():
    return SimpleNamespace(
        best=best,
        options=options,
        errors=errors,
        folded=folded,
        truncated=truncated,
        dense_weight=dense_weight,
        Branches=Branches,
    )


@pytest.fixture
def network():
    return small_network()


@pytest.fixture
def batch():
    return images_of_it()
