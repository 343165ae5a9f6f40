"""The truncated slices of a layer, and the exact spectral norm of what they leave out together."""

import torch
from torch import Tensor

from pruners.lowrank.spectra.gram import gram, slices_of
from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.metrics import Floats

_WELL_CONDITIONED = 1e-5
_RESOLVED = 1e-4
"""Below this share of s_1 the difference of two Gram matrices has lost too many digits of a norm."""
_POWER_STEPS = 20


class Residuals:
    """Residual norms of one layer and num_subspaces at many ranks.

    R R^T = W W^T - sum of s^2 u u^T over what the slices keep, so all ranks share one decomposition of the
    slices.
    """

    def __init__(self, spectra: LayerSpectra, num_subspaces: int) -> None:
        self._spectra = spectra
        self._num_subspaces = num_subspaces
        matrix = spectra.matrix
        left, values, _ = leading_triplets(
            slices_of(matrix, num_subspaces), spectra.shape.largest_saving_rank(num_subspaces)
        )
        self._kept = left * values.unsqueeze(-2)
        self._whole = matrix @ matrix.mT

    def norm(self, rank: int) -> float:
        """Return the exact spectral norm at this rank; kept in ``spectra.residual_norms``."""
        known = self._spectra.residual_norms
        if (rank, self._num_subspaces) not in known:
            norm = float(torch.linalg.eigvalsh(self._square(rank))[..., -1].clamp_min(0).max().sqrt())
            if norm > _RESOLVED * self._spectra.scale:
                known[rank, self._num_subspaces] = norm
        return residual_norm(self._spectra, rank, self._num_subspaces)

    def bounds(self, rank: int) -> Floats:
        """Bound the norm at rank 1, 2, ... from below, close to the norm near ``rank``.

        For any unit vector x and every rank |R|^2 >= x^T R R^T x; x is nearly R's leading left singular
        vector at ``rank``.
        """
        square = self._square(rank)
        x = square.new_ones(*square.shape[:-1], 1)
        for _ in range(_POWER_STEPS):
            x = torch.nn.functional.normalize(square @ x, dim=-2)
        kept = (self._kept.mT @ x.unsqueeze(1)).square().sum(dim=1)[..., 0].cumsum(dim=-1)
        energy = (x.mT @ self._whole @ x)[..., 0] - kept
        return energy.clamp_min(0).sqrt().amax(dim=0).numpy()

    def _square(self, rank: int) -> Tensor:
        """Return R R^T of every group."""
        kept = self._kept[..., :rank].transpose(1, 2).flatten(2)
        return self._whole - kept @ kept.mT


def slice_factors(spectra: LayerSpectra, rank: int, num_subspaces: int) -> tuple[Tensor, Tensor]:
    """Factor all slices at a rank, in float64.

    Left factors are groups x k x rows x rank, right ones groups x k x rank x columns / k. Their product is
    each slice's best approximation of that rank. The singular values are split evenly between the two, so
    that a later step of gradient descent moves both alike.
    """
    slices = slices_of(spectra.matrix, num_subspaces)
    left, values, right = leading_triplets(slices, rank)
    root = values.sqrt()
    return left * root.unsqueeze(-2), root.unsqueeze(-1) * right


def residual_norm(spectra: LayerSpectra, rank: int, num_subspaces: int) -> float:
    """Return the spectral norm of the whole weight minus its truncation.

    That is the largest singular value over all groups, to about 1e-10 s_1.
    """
    if (rank, num_subspaces) not in spectra.residual_norms:
        spectra.residual_norms[rank, num_subspaces] = _residual_norm(
            slices_of(spectra.matrix, num_subspaces), rank
        )
    return spectra.residual_norms[rank, num_subspaces]


def _residual_norm(slices: Tensor, rank: int) -> float:
    left, values, right = leading_triplets(slices, rank)
    residual = slices - (left * values.unsqueeze(-2)) @ right
    whole = residual.transpose(1, 2).flatten(2)
    return float(torch.linalg.eigvalsh(gram(whole))[..., -1].clamp_min(0).max().sqrt())


def leading_triplets(slices: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the leading singular triplets of each slice.

    From the eigenvectors of its Gram matrix, several times faster than an SVD, unless one of them belongs to
    a singular value so small that rounding in the Gram matrix would turn it.
    """
    wide = slices.shape[-1] >= slices.shape[-2]
    eigenvalues, vectors = torch.linalg.eigh(gram(slices))
    values = eigenvalues.clamp_min(0).sqrt().flip(-1)[..., :rank]
    if bool((values[..., -1] < _WELL_CONDITIONED * values[..., 0]).any()) or not bool(
        (values[..., 0] > 0).all()
    ):
        left, values, right = torch.linalg.svd(slices, full_matrices=False)
        return left[..., :rank], values[..., :rank], right[..., :rank, :]
    vectors = vectors.flip(-1)[..., :rank]
    if wide:
        return vectors, values, (vectors.mT @ slices) / values.unsqueeze(-1)
    return (slices @ vectors) / values.unsqueeze(-2), values, vectors.mT
