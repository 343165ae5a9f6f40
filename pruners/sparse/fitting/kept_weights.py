"""Least squares on a layer's outputs: the best values of the weights that a mask keeps."""

import torch
from torch import Tensor

from pruners.calibration.normal_equations import solve_normal_equations


def fitted_weights(
    matrix: Tensor, kept: Tensor, second: Tensor, ridge: float, target: Tensor | None = None
) -> Tensor:
    """Fit the kept weights of every row to the outputs of the whole row, by least squares.

    ``matrix`` is a folded weight W (rows x n, float64), ``kept`` a bool mask of its shape, ``second`` the
    second moment S of the layer's inputs (n x n). Of each row w the result w' is argmin (w' - w)^T H (w' - w)
    with H = S + ``ridge`` * (mean of S's diagonal) * 1 and w' zero where the mask is: with the kept places K,
    w'_K = H_KK^-1 (H w)_K. That is what Optimal Brain Compression arrives at for a given mask (Frantar,
    Singh, Alistarh, NeurIPS 2022, arXiv 2208.11580, section 4, from Hassibi & Stork 1992), there one removed
    weight after the other, and what SparseGPT approximates (Frantar & Alistarh, ICML 2023, arXiv 2301.00774,
    section 3.1). The ridge keeps weights where they are in directions that the inputs hardly show; where H_KK
    is singular without one, the w' nearest to w in the directions that they do not show at all is taken.

    With ``target`` (rows x n), the mean of y x^T, the outputs y that are wanted are others than W makes of
    these inputs x: it takes the place of W S.

    Rows that keep the same places are solved together, in time |K|^3 / 3 for each such set and |K|^2 for each
    row; rows that keep nothing cost nothing, and nor do whole ones without a target.
    """
    noise = ridge * float(second.diagonal().mean())
    noisy = second + noise * torch.eye(len(second), dtype=second.dtype, device=second.device)
    aimed = matrix @ noisy if target is None else target + noise * matrix
    fitted = matrix.masked_fill(~kept, 0)
    patterns, members = torch.unique(kept, dim=0, return_inverse=True)
    for which, pattern in enumerate(patterns):
        places = pattern.nonzero().flatten()
        if not len(places) or (target is None and len(places) == len(pattern)):
            continue
        rows = (members == which).nonzero().flatten()
        among, start = noisy[places[:, None], places], matrix[rows[:, None], places]
        lacking = aimed[rows[:, None], places] - start @ among
        change = solve_normal_equations(among[None], lacking.mT[None])[0]
        fitted[rows[:, None], places] = start + change.mT
    return fitted
