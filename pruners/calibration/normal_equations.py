"""Least squares from moments alone."""

import torch
from torch import Tensor

_WELL_CONDITIONED = 1e-7
"""Below this share of the largest pivot of a Cholesky factor the normal equations have lost the digits that
tell a small direction from none.
"""
_RANK_TOLERANCE = 1e-11
"""Eigenvalues below this share of the largest count as zero where the normal equations are singular."""


def solve_normal_equations(products: Tensor, right: Tensor) -> Tensor:
    """Solve ``products`` x = ``right`` for each of several symmetric matrices (groups x n x n, float64).

    By Cholesky; the solution of smallest norm, by the pseudo-inverse, in groups where they are singular.
    """
    factor, failed = torch.linalg.cholesky_ex(products)
    pivots = factor.diagonal(dim1=-2, dim2=-1)
    doubtful = (failed != 0) | (pivots.amin(-1) < _WELL_CONDITIONED * pivots.amax(-1))
    factor[doubtful] = torch.eye(products.shape[-1], dtype=products.dtype, device=products.device)
    solved = torch.cholesky_solve(right, factor)
    if bool(doubtful.any()):
        inverse = torch.linalg.pinv(products[doubtful], rtol=_RANK_TOLERANCE, hermitian=True)
        solved[doubtful] = inverse @ right[doubtful]
    return solved
