"""Encoders: the rows that a decomposed layer's first half multiplies its inputs with, slice by slice."""

import torch
from torch import Tensor

from pruners.lowrank.spectra.gram import slices_of
from pruners.lowrank.spectra.residual import leading_triplets

ENCODERS = ("weight", "whitened", "joint")


def weight_encoders(matrix: Tensor, rank: int, num_subspaces: int) -> Tensor:
    """Return the leading right singular vectors of each slice of a folded weight.

    ``matrix`` is groups x rows x columns, the encoders are groups x k x rank x (columns / k). Those of a
    smaller rank are the first of them.
    """
    _, _, right = leading_triplets(slices_of(matrix, num_subspaces), rank)
    return right


def whitened_encoders(matrix: Tensor, second: Tensor, rank: int, num_subspaces: int) -> Tensor:
    """Return encoders of the best approximation of each slice for its own inputs.

    ``second`` is the inputs' second moment S, groups x columns x columns. Of slice W_i with the diagonal
    block S_i = R R^T of the moment, the matrix X of a given rank with the smallest ||(X - W_i) S_i^(1/2)|| is
    U U^T W_i, U the leading left singular vectors of W_i R (Chen et al., DRONE, NeurIPS 2021; "whitened" as
    in SVD-LLM, arXiv 2403.07378): X's rows are combinations of those of U^T W_i. They are returned
    orthonormal, in the shapes of `weight_encoders`; those of a smaller rank are the first of them.
    """
    slices = slices_of(matrix, num_subspaces)
    size = slices.shape[-1]
    blocks = second.unflatten(2, (num_subspaces, size)).unflatten(1, (num_subspaces, size))
    roots = _roots(blocks.diagonal(dim1=1, dim2=3).movedim(-1, 1))
    left, _, _ = leading_triplets(slices @ roots, rank)
    orthonormal, _ = torch.linalg.qr(slices.mT @ left)
    return orthonormal.mT


def _roots(moments: Tensor) -> Tensor:
    """Return R with R R^T = S of each of these matrices; S may be singular."""
    factor, failed = torch.linalg.cholesky_ex(moments)
    if bool((failed == 0).all()):
        return factor
    values, vectors = torch.linalg.eigh(moments)
    return vectors * values.clamp_min(0).sqrt().unsqueeze(-2)
