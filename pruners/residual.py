"""The truncated slices of a layer, and the exact spectral norm of what they leave out."""

import torch
from torch import Tensor

from pruners.gram import cut, gram
from pruners.layer_spectra import LayerSpectra

_WELL_CONDITIONED = 1e-5


def factors(spectra: LayerSpectra, rank: int, num_subspaces: int) -> tuple[Tensor, Tensor]:
    """Left (groups x k x rows x rank) and right (groups x k x rank x columns / k) factors of all slices, float64.

    Their product is each slice's best approximation of that rank. The singular values are split evenly between the two,
    so that a later step of gradient descent moves both alike.
    """
    slices = cut(spectra.matrix, num_subspaces)
    left, values, right = _leading(slices, rank)
    root = values.sqrt()
    return left * root.unsqueeze(-2), root.unsqueeze(-1) * right


def residual_norm(spectra: LayerSpectra, rank: int, num_subspaces: int) -> float:
    """The largest singular value of the whole weight minus its truncation, over all groups, to about 1e-10 s_1."""
    if (rank, num_subspaces) not in spectra.residual_norms:
        spectra.residual_norms[rank, num_subspaces] = _residual_norm(cut(spectra.matrix, num_subspaces), rank)
    return spectra.residual_norms[rank, num_subspaces]


def _residual_norm(slices: Tensor, rank: int) -> float:
    left, values, right = _leading(slices, rank)
    residual = slices - (left * values.unsqueeze(-2)) @ right
    whole = residual.transpose(1, 2).flatten(2)
    return float(torch.linalg.eigvalsh(gram(whole))[..., -1].clamp_min(0).max().sqrt())


def _leading(slices: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The leading singular triplets of each slice.

    From the eigenvectors of its Gram matrix, several times faster than an SVD, unless one of them belongs to a singular
    value so small that rounding in the Gram matrix would turn it.
    """
    wide = slices.shape[-1] >= slices.shape[-2]
    eigenvalues, vectors = torch.linalg.eigh(gram(slices))
    values = eigenvalues.clamp_min(0).sqrt().flip(-1)[..., :rank]
    if bool((values[..., -1] < _WELL_CONDITIONED * values[..., 0]).any()) or not bool((values[..., 0] > 0).all()):
        left, values, right = torch.linalg.svd(slices, full_matrices=False)
        return left[..., :rank], values[..., :rank], right[..., :rank, :]
    vectors = vectors.flip(-1)[..., :rank]
    if wide:
        return vectors, values, (vectors.mT @ slices) / values.unsqueeze(-1)
    return (slices @ vectors) / values.unsqueeze(-2), values, vectors.mT
