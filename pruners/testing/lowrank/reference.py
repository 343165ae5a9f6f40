"""Decomposed layers as numpy has them: one SVD a slice in float64, and dense weights of two modules."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Matrices = NDArray[np.float64]


def folded(layer: nn.Module) -> Matrices:
    """Return a layer's weight as groups x rows x columns."""
    groups = getattr(layer, "groups", 1)
    assert isinstance(layer.weight, Tensor)
    weight = layer.weight.detach().double().numpy()
    return weight.reshape(groups, weight.shape[0] // groups, -1)


def truncated(matrix: Matrices, rank: int, num_subspaces: int) -> Matrices:
    """Return the matrix with each slice replaced by its best approximation of this rank."""
    parts = []
    for part in np.split(matrix, num_subspaces, axis=1):
        u, s, v = np.linalg.svd(part, full_matrices=False)
        parts.append((u[:, :rank] * s[:rank]) @ v[:rank])
    return np.concatenate(parts, axis=1)


def in_order(matrices: Matrices, order: Sequence[int]) -> Matrices:
    """Return folded weights with their input channels in another order, each with its own columns."""
    groups, rows, columns = matrices.shape
    by_channel = matrices.reshape(groups, rows, len(order), columns // len(order))
    return by_channel[:, :, order].reshape(matrices.shape)


def errors(
    layer: nn.Module, rank: int, num_subspaces: int, order: Sequence[int] | None = None
) -> dict[str, float]:
    """Return the error of a truncated layer by all five metrics, from the residual itself.

    Its slices are of its input channels in ``order``, where there is one.
    """
    matrices = folded(layer) if order is None else in_order(folded(layer), order)
    return _relative(matrices, [truncated(m, rank, num_subspaces) for m in matrices], num_subspaces)


def errors_of(layer: nn.Module, built: nn.Module) -> dict[str, float]:
    """Return the error, by all five metrics, of the weight that the layers in a layer's place make."""
    made, matrices = built.weight, folded(layer)
    assert isinstance(made, Tensor)
    return _relative(matrices, made.detach().double().numpy().reshape(matrices.shape), 1)


def _relative(
    matrices: Matrices, made: Sequence[Matrices] | Matrices, num_subspaces: int
) -> dict[str, float]:
    scale = max(np.linalg.norm(m, 2) for m in matrices)
    residuals = [matrix - other for matrix, other in zip(matrices, made, strict=True)]
    slices = (
        np.array([[np.linalg.norm(p, 2) for p in np.split(r, num_subspaces, axis=1)] for r in residuals])
        / scale
    )
    return {
        "max": slices.max(),
        "thm1": np.sqrt(num_subspaces) * slices.max(),
        "sum": np.sqrt((slices**2).sum(axis=1)).max(),
        "true": max(np.linalg.norm(r, 2) for r in residuals) / scale,
        "frobenius": float(np.linalg.norm(np.array(residuals)) / np.linalg.norm(matrices)),
    }


def dense_weight(pair: Iterable[nn.Module], groups: int, num_subspaces: int) -> Tensor:
    """Return the folded weight that two modules make together, groups x rows x columns."""
    first, second = (module.get_parameter("weight").detach().double() for module in pair)
    rank = second.shape[1] // num_subspaces
    first = first.reshape(groups, num_subspaces, rank, -1)
    second = second.reshape(groups, -1, num_subspaces, rank)
    return torch.einsum("gfkr,gkrm->gfkm", second, first).flatten(2)
