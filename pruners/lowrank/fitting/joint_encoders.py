"""Encoders and decoder of a layer fitted together, in turn."""

import torch
from torch import Tensor

from pruners.calibration.normal_equations import solve_normal_equations
from pruners.lowrank.fitting.encoders import weight_encoders
from pruners.lowrank.fitting.output_fit import OutputFit

_ROUNDS = 2


def joint_encoders(
    fit: OutputFit, matrix: Tensor, rank: int, num_subspaces: int, scale: Tensor | None
) -> Tensor:
    """Return encoders for which the decoder over all slices jointly leaves little error of the outputs.

    Alternating least squares on ||R (D E - W) S^(1/2)||_F: the decoder D of the encoders E, then the encoders
    of one slice after the other, the others held, and both again. R weights the rows (``scale``, groups x
    rows: what BatchNorm multiplies outputs by, None for 1). It starts from the right singular vectors of the
    slices of R W; no step makes the error larger. Two rounds: further ones gain little.

    With the residual's moment V = (W - D E) S, slice i changes by (D_i^T R^2 D_i)^-1 D_i^T R^2 V_i S_ii^-1.
    The rows returned are orthonormal within each slice, groups x k x rank x (columns / k); unlike those of
    `weight_encoders`, a smaller rank's are others.
    """
    weights = torch.ones_like(matrix[..., :1]) if scale is None else scale.unsqueeze(-1)
    encoders = weight_encoders(weights * matrix, rank, num_subspaces)
    size = encoders.shape[-1]
    for _ in range(_ROUNDS):
        decoder = fit.decoder(encoders)
        left = fit.aimed - (decoder @ encoders).transpose(1, 2).flatten(2) @ fit.second
        for i in range(num_subspaces):
            own = slice(i * size, (i + 1) * size)
            weighted = decoder[:, i] * weights.square()
            wanted = solve_normal_equations(weighted.mT @ decoder[:, i], weighted.mT @ left[..., own])
            change = solve_normal_equations(fit.second[:, own, own], wanted.mT).mT
            encoders[:, i] += change
            left -= decoder[:, i] @ (change @ fit.second[:, own])
    orthonormal, _ = torch.linalg.qr(encoders.mT)
    return orthonormal.mT
