"""L-Rank's step: every combination of ranks tried, in parameters and in multiply-adds."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import pruners


def small_network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 3, groups=2), nn.Flatten(), nn.Linear(4 * 36, 7)
    )


ROWS = {"encode": (0,), "decode": (0, 2, 3), "split1": (0, 2), "split2": (0, 3)}
"""Numpy's axes of a group's kernel that a folding puts into the rows of its matrix."""


def choices(layer: nn.Module, multiply_adds: int, foldings: tuple[str, ...]) -> list[tuple[int, float]]:
    """Cost and squared error of every rank in one subspace that saves weights, and of the dense layer."""
    groups = getattr(layer, "groups", 1)
    weight = layer.weight.detach().double().numpy()
    kernels = weight.reshape(groups, weight.shape[0] // groups, -1, *(weight.shape[2:] or (1, 1)))
    found = [(weight.size * multiply_adds, 0.0)]
    for folding in foldings:
        rows = ROWS[folding]
        order = (*rows, *(axis for axis in range(4) if axis not in rows))
        height = int(np.prod([kernels.shape[1:][axis] for axis in rows]))
        matrices = [kernel.transpose(order).reshape(height, -1) for kernel in kernels]
        values = np.array([np.linalg.svd(m, compute_uv=False) for m in matrices])
        for rank in range(1, values.shape[1]):
            weights = groups * rank * sum(matrices[0].shape)
            if weights < weight.size:
                found.append((weights * multiply_adds, float((values[:, rank:] ** 2).sum())))
    return found


@pytest.mark.parametrize("share", [0.3, 0.5, 0.75, 0.9])
@pytest.mark.parametrize(
    ("unit", "folding"),
    [("keep_ratio", "encode"), ("flops_ratio", "encode"), ("keep_ratio", "split1"), ("keep_ratio", "best")],
)
def test_no_combination_is_better_at_its_price(unit: str, folding: str, share: float) -> None:
    network, example = small_network(), torch.randn(1, 3, 8, 8)
    positions = (64, 36, 1) if unit == "flops_ratio" else (1, 1, 1)
    layers = [(network[0], positions[0]), (network[1], positions[1]), (network[3], positions[2])]
    artifact = pruners.compress(network, "l_rank", example=example, folding=folding, **{unit: share})
    foldings = tuple(ROWS) if folding == "best" else (folding,)
    every = [
        (sum(c for c, _ in combo), sum(e for _, e in combo))
        for combo in itertools.product(*(choices(*one, foldings) for one in layers))
    ]
    cost = artifact.plan.cost
    squares = {
        name: (choice.error * float(network.get_submodule(name).weight.detach().double().norm())) ** 2
        for name, choice in artifact.layers.items()
    }
    error = sum(squares.values())
    assert cost <= artifact.budget
    # the price: what the next better choices ask for each unit of error, all others considered
    dearer = [(e, c) for c, e in every if c > cost]
    price = max(((error - e) / (c - cost) for e, c in dearer), default=0.0)
    assert all(error + price * cost <= e + price * c + 1e-9 for c, e in every)
    if dearer:  # at that price the next choice is as good, and all such that fit only a lower price
        assert min(c for e, c in dearer if e + price * c <= error + price * cost + 1e-9) > artifact.budget


def test_a_dearer_layer_is_cut_more_in_multiply_adds() -> None:
    network, example = small_network(), torch.randn(1, 3, 8, 8)
    by_weights = pruners.plan(network, "l_rank", keep_ratio=0.5)
    by_flops = pruners.plan(network, "l_rank", flops_ratio=0.5, example=example)
    assert "3" in by_weights.layers and "3" not in by_flops.layers
    assert by_weights.metric == "frobenius"
