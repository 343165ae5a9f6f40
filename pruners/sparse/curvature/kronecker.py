"""Kronecker factors of the Fisher matrix of each layer's weight."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from pruners.errors import PrunerError
from pruners.sparse.curvature.use import Use


@dataclass
class Factors:
    """Sums over samples s and positions t, for each group of a weight.

    Of rows r r^T (groups, o, o), of columns c c^T (groups, d, d). With the weight reshaped to (groups, o,
    d), K-FAC takes a group's Fisher matrix to be (rows / uses) ⊗ (columns / samples), where ``uses``
    counts each group's pairs (s, t): Grosse, Martens: A Kronecker-factored approximate Fisher matrix for
    convolution layers, ICML 2016, arXiv 1602.01407, section 3.1, theorem 1 (for a Linear, Martens,
    Grosse, ICML 2015, arXiv 1503.05671, section 3.1). A weight that is used several times counts as one
    with more positions; each group (the query's, the key's and the value's part of an attention's packed
    projection too) has its own factors, biases have none.
    """

    rows: Tensor
    columns: Tensor
    uses: list[int]

    @classmethod
    def empty(cls, weight: Tensor, groups: int) -> Self:
        """Return the factors of a weight that was not used yet."""
        rows, columns = len(weight) // groups, weight[0].numel()
        return cls(
            weight.new_zeros(groups, rows, rows), weight.new_zeros(groups, columns, columns), [0] * groups
        )

    def add(self, use: Use) -> None:
        """Count the samples of one use of the weight."""
        used = use.used_groups
        for group in range(used.start, used.stop):
            self.uses[group] += use.samples * use.positions
        for start, stop in use.chunks():
            rows, columns = (factor.flatten(2) for factor in use.factors(start, stop))
            self.rows[used].baddbmm_(rows, rows.mT)
            self.columns[used].baddbmm_(columns, columns.mT)

    def inverse_diagonal(self, samples: int, damping: float) -> Tensor:
        """Compute the diagonal of the inverse of the Fisher matrix over ``samples``.

        (groups, o, d) in float64; infinite without any curvature. ``sqrt(damping)`` times its mean
        eigenvalue is added to each factor's diagonal: Martens and Grosse's factored Tikhonov damping
        (2015, section 6.3) with ``damping`` relative to the mean eigenvalue of the product. PrunerError
        for factors that are not finite, or singular.
        """
        diagonals = []
        uses = self.rows.new_tensor(self.uses, dtype=torch.float64).clamp(min=1)[:, None, None]
        for factor, count in ((self.rows, uses), (self.columns, samples)):
            mean = factor.double() / count
            level = mean.diagonal(dim1=-2, dim2=-1).mean()
            mean.diagonal(dim1=-2, dim2=-1).add_(damping**0.5 * level)
            diagonals.append(_inverse_diagonal(mean) if level else mean.new_full(mean.shape[:-1], torch.inf))
        rows, columns = diagonals
        return rows[:, :, None] * columns[:, None, :]


def _inverse_diagonal(matrices: Tensor) -> Tensor:
    """Compute the diagonals (groups, n) of the inverses of symmetric matrices (groups, n, n)."""
    if not matrices.isfinite().all():
        raise PrunerError("The Kronecker factors are not finite.")
    lower, failed = torch.linalg.cholesky_ex(matrices)
    if failed.any():
        raise PrunerError("The Kronecker factors have no inverse; give them more damping.")
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device).expand_as(matrices)
    return torch.linalg.solve_triangular(lower, identity, upper=False).square().sum(-2)
