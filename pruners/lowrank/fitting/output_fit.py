"""Least squares on a layer's outputs: the best decoder for given encoders, and what error it leaves."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pruners.calibration.moments.moment import mirrored
from pruners.calibration.normal_equations import solve_normal_equations

_LEAST_NOISE = 1e-14
_PARTS = 8  # that E S E^T is computed in: the more, the less is computed twice, but by smaller products


class OutputFit:
    """The least-squares problem of one layer, given the second moment of its inputs.

    W is the folded weight (groups x rows x columns), S the input second moment (groups x columns x columns),
    E the encoders: of each of k slices of the columns a rank x columns / k matrix, together block diagonal.
    The decoder over all slices jointly is D = argmin ||(D E - W) S^(1/2)||_F = W S E^T (E S E^T)^-1, the
    reconstruction of a layer's outputs as channel pruning does it (He et al., ICCV 2017, arXiv 1707.06168,
    section 3.1) and OBC for single weights (Frantar et al., NeurIPS 2022, arXiv 2208.11580).

    S is S + ``ridge`` * (mean of its diagonal) * 1 throughout: as if the inputs had that much noise, so that
    directions which the calibration images do not show keep what the weights alone say. With S = 1, or a very
    large ridge, D is the weights' own decoder, and D E their truncated SVD where E is.

    With ``target`` (groups x rows x columns, the mean of y x^T) and ``energy`` (the mean of |y|^2 over all
    groups) the decoder is fitted to outputs y other than W x: those of the dense network, whose inputs were
    others.
    """

    def __init__(
        self,
        matrix: Tensor,
        second: Tensor,
        ridge: float = 0.0,
        target: Tensor | None = None,
        energy: float | None = None,
    ) -> None:
        self._noise = noise = ridge * mean_diagonal(second)[:, None]
        self.second = second.clone()
        """The moment with the ridge."""
        self.second.diagonal(dim1=-2, dim2=-1).add_(noise)
        aimed = matrix @ second if target is None else target
        if energy is None:
            energy = float((aimed * matrix).sum())
        noisy = noise.unsqueeze(-1) * matrix
        self.aimed = aimed + noisy
        """The mean of y x^T, with the ridge."""
        self.energy = energy + float((noisy * matrix).sum())
        """The mean of |y|^2 over all groups, with the ridge: what `errors` are relative to."""

    def decoder(self, encoders: Tensor) -> Tensor:
        """Return D: groups x k x rows x rank, for encoders of groups x k x rank x (columns / k).

        Where E S E^T is singular, the D of smallest norm.
        """
        groups, subspaces, rank, _ = encoders.shape
        products = self._products(encoders)
        solved = solve_normal_equations(products, encoded(encoders, self.aimed.mT))
        return solved.mT.reshape(groups, -1, subspaces, rank).transpose(1, 2)

    def errors(self, encoders: Tensor) -> NDArray[np.float64]:
        """Return the relative output error at rank 1, 2, ... of the encoders, each with its own decoder.

        ||(D E - W) S^(1/2)||_F / ||W S^(1/2)||_F over all groups, 0 for a layer without outputs. The encoders
        of a rank must be the first of those of a larger one. One Cholesky factorisation does for all ranks:
        with E's rows in the order of their rank (the first of every slice, then the second ...) and
        L L^T = E S E^T, the first rows of L^-1 E S W^T hold what the smaller ranks explain.
        """
        groups, subspaces, rank, _ = encoders.shape
        products = (
            self._products(encoders)
            .reshape(groups, subspaces, rank, subspaces, rank)
            .permute(0, 2, 1, 4, 3)
            .reshape(groups, rank * subspaces, -1)
        )
        targets = (
            encoded(encoders, self.aimed.mT).unflatten(1, (subspaces, rank)).transpose(1, 2).flatten(1, 2)
        )
        explained = torch.linalg.solve_triangular(_factor(products), targets, upper=False).square().sum(-1)
        left = self.energy - explained.sum(0).reshape(rank, subspaces).sum(-1).cumsum(0)
        if not self.energy > 0:
            return np.zeros(rank)
        return (left.clamp_min(0) / self.energy).sqrt().numpy()

    def error(self, replacement: Tensor) -> float:
        """Return the relative output error of any weight of W's shape in W's place."""
        left = float(((replacement @ self.second - 2 * self.aimed) * replacement).sum()) + self.energy
        return self._relative(left)

    def fitted_error(self, fitted: Tensor) -> float:
        """Return `error` for D E of any encoders with their own decoder: D E S E^T is then ``aimed`` E^T."""
        return self._relative(self.energy - float((self.aimed * fitted).sum()))

    def fitted_energies(self, fitted: Tensor) -> Tensor:
        """Return the mean square (groups x rows) of each output of fitted factors, without the ridge."""
        noise = self._noise * fitted.square().sum(-1)
        return ((self.aimed * fitted).sum(-1) - noise).clamp_min(0)

    def _relative(self, left: float) -> float:
        return (max(left, 0.0) / self.energy) ** 0.5 if self.energy > 0 else 0.0

    def _products(self, encoders: Tensor) -> Tensor:
        """Return E S E^T, groups x (k rank) x (k rank): blocks below the diagonal are those above it."""
        groups, subspaces, rank, size = encoders.shape
        products = encoders.new_zeros(groups, subspaces * rank, subspaces * rank)
        at_once = -(-subspaces // _PARTS)
        for start in range(0, subspaces, at_once):
            some, following = encoders[:, start : start + at_once], encoders[:, start:]
            rows = slice(start * size, (start + at_once) * size)
            half = encoded(some, self.second[:, rows, start * size :])
            place = slice(start * rank, (start + at_once) * rank)
            products[:, place, start * rank :] = encoded(following, half.mT).mT
        return mirrored(products)


def mean_diagonal(second: Tensor) -> Tensor:
    """Return the mean of each group's diagonal; that of all groups where a group has had no inputs but 0."""
    means = second.diagonal(dim1=-2, dim2=-1).mean(-1)
    overall = float(means.mean())
    return torch.where(means > 0, means, overall if overall > 0 else 1.0)


def encoded(encoders: Tensor, other: Tensor) -> Tensor:
    """Multiply the block-diagonal encoders with groups x columns x n: groups x (k rank) x n."""
    parts = other.unflatten(1, (encoders.shape[1], encoders.shape[3]))
    return (encoders @ parts).flatten(1, 2)


def _factor(products: Tensor) -> Tensor:
    """Return Cholesky factors, where there is none that of the matrix with the least share of noise."""
    factor, failed = torch.linalg.cholesky_ex(products)
    share = _LEAST_NOISE
    while bool(failed.any()):
        noise = torch.diag_embed(mean_diagonal(products)[:, None].expand(products.shape[:2]))
        factor, failed = torch.linalg.cholesky_ex(
            torch.where(failed[:, None, None] != 0, products + share * noise, products)
        )
        share *= 10
    return factor
