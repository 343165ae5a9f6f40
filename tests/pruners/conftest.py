"""Independent reference.

Every option of a layer by one SVD a slice, and dense weights from decomposed modules.
"""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn


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


def folded(layer):
    """groups x rows x columns, float64."""
    groups = getattr(layer, "groups", 1)
    weight = layer.weight.detach().double().numpy()
    return weight.reshape(groups, weight.shape[0] // groups, -1)


def truncated(matrix, rank, num_subspaces):
    """Each slice's best approximation."""
    parts = []
    for part in np.split(matrix, num_subspaces, axis=1):
        u, s, v = np.linalg.svd(part, full_matrices=False)
        parts.append((u[:, :rank] * s[:rank]) @ v[:rank])
    return np.concatenate(parts, axis=1)


def errors(layer, rank, num_subspaces):
    """All five metrics from the residual itself."""
    matrices = folded(layer)
    scale = max(np.linalg.norm(m, 2) for m in matrices)
    residuals = [m - truncated(m, rank, num_subspaces) for m in matrices]
    slices = (
        np.array([[np.linalg.norm(p, 2) for p in np.split(r, num_subspaces, axis=1)] for r in residuals])
        / scale
    )
    return {
        "max": slices.max(),
        "thm1": np.sqrt(num_subspaces) * slices.max(),
        "sum": np.sqrt((slices**2).sum(axis=1)).max(),
        "true": max(np.linalg.norm(r, 2) for r in residuals) / scale,
        "frobenius": np.linalg.norm(np.array(residuals)) / np.linalg.norm(matrices),
    }


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


def dense_weight(pair, groups, num_subspaces):
    """The folded weight that two modules make together, groups x rows x columns."""
    first, second = (m.weight.detach().double() for m in pair)
    rank = second.shape[1] // num_subspaces
    first = first.reshape(groups, num_subspaces, rank, -1)
    second = second.reshape(groups, -1, num_subspaces, rank)
    return torch.einsum("gfkr,gkrm->gfkm", second, first).flatten(2)


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


def small_network():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(4, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 12, 3, stride=2, padding=1, groups=3, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(192, 30),
        nn.ReLU(),
        nn.Linear(30, 10),
    ).eval()


@pytest.fixture
def network():
    return small_network()


@pytest.fixture
def batch():
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(5))
