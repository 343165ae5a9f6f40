"""Five errors of a decomposed layer, from the singular values of its slices.

W is the folded weight (one block per group, together block diagonal), s_1 its largest singular value, s_{i,j}
the j-th singular value of slice i, k the number of slices (subspaces) of a group and R the residual after
truncation to rank j:

- ``max``        max_i s_{i,j+1} / s_1: what the authors' code minimises.
- ``thm1``       sqrt(k) * max: the bound of Theorem 1 (Liebenwein et al., NeurIPS 2021, arXiv 2107.11442).
- ``sum``        sqrt(sum_i s_{i,j+1}^2) / s_1: a tighter bound on the same norm, as |R|^2 <= sum_i |R_i|^2.
- ``true``       |R| / s_1: the spectral error itself. max <= true <= sum <= thm1.
- ``frobenius``  |R|_F / |W|_F.

With groups the largest group counts, and for frobenius the sum of squares over groups.
"""

import math

import numpy as np
from numpy.typing import NDArray

ERROR_METRICS = ("max", "thm1", "sum", "true", "frobenius")

Floats = NDArray[np.float64]


def spectral_errors(metric: str, values: Floats, scale: float, norm: float) -> Floats:
    """Return the errors at rank 1, 2, ... n from the slices' singular values; ``true`` excepted.

    ``values`` is of shape (groups, num_subspaces, n), descending. All errors grow with the values, so values
    set to 0 where they are unknown give a lower bound.
    """
    if metric == "frobenius":
        return np.sqrt(_tail_energy(values)) / (norm or 1.0)
    following = np.concatenate([values[..., 1:], np.zeros((*values.shape[:2], 1))], axis=-1)
    if metric == "sum":
        return np.sqrt(np.square(following).sum(axis=1)).max(axis=0) / (scale or 1.0)
    worst = following.max(axis=(0, 1)) / (scale or 1.0)
    return worst if metric == "max" else math.sqrt(values.shape[1]) * worst


def true_error_bound(values: Floats, smaller_side: int, scale: float) -> Floats:
    """Bound the true error at rank 1 ... n from below.

    By the worst slice, and by the residual's energy spread over all its directions.
    """
    spread = np.sqrt(_tail_energy(values) / (values.shape[0] * smaller_side)) / (scale or 1.0)
    return np.maximum(spectral_errors("max", values, scale, 1.0), spread)


def rank_bound(metric: str, whole: Floats, num_subspaces: int, scale: float, norm: float) -> Floats:
    """Bound the error at rank 1 ... n from below, by the whole matrix's singular values alone.

    ``whole`` is of shape (groups, n). Slices of rank j make a matrix of rank at most k j, so by Eckart, Young
    and Mirsky |R| >= s_{kj+1}(W), and by |R|^2 <= k max_i |R_i|^2 the worst slice has at least 1/sqrt(k) of
    that.
    """
    groups, size = whole.shape
    lost = np.concatenate([whole, np.zeros((groups, 1))], axis=1)
    ranks = np.minimum(np.arange(1, size + 1) * num_subspaces, size)
    if metric == "frobenius":
        energy = np.cumsum(np.square(lost[:, ::-1]), axis=1)[:, ::-1].sum(axis=0)
        return np.sqrt(energy[ranks]) / (norm or 1.0)
    worst = lost[:, ranks].max(axis=0) / (scale or 1.0)
    return worst / math.sqrt(num_subspaces) if metric == "max" else worst


def _tail_energy(values: Floats) -> Floats:
    """Return the squared Frobenius norm of what rank 1 ... n leaves out, summed over all slices."""
    energy = np.square(values).sum(axis=(0, 1))
    tail = np.cumsum(energy[::-1])[::-1]
    return np.append(tail[1:], 0.0)
