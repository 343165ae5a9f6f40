"""Error over rank of one layer for one num_subspaces: bounds first, exact where somebody asks."""

import numpy as np

from pruners.layer_spectra import LayerSpectra
from pruners.metrics import rank_bound, spectral_errors, true_error_bound
from pruners.residual import residual_norm

_SLACK = 1e-6
"""Lower bounds are lowered by this share of s_1, above what rounding can have added to them (sqrt(n eps) at worst)."""


class Curve:
    """``errors[j - 1]`` is the error at rank j where ``exact[j - 1]``, otherwise not above it. Ranks that save nothing are left out.

    Exactness comes in two steps: `tighten` looks at all slices, `resolve` makes one rank exact. They differ for the
    metric ``true`` only, which has no closed form in the slices' singular values.
    """

    def __init__(self, spectra: LayerSpectra, num_subspaces: int, metric: str) -> None:
        self._spectra = spectra
        self._num_subspaces = num_subspaces
        self._metric = metric
        self.tight = False
        self._update()

    def tighten(self) -> None:
        """Computes every slice's spectrum."""
        self._spectra.singular_values(self._num_subspaces)
        self._update()

    def resolve(self, rank: int) -> None:
        """Makes the error at this rank exact."""
        if not self.tight:
            self.tighten()
        if self.exact[rank - 1]:
            return
        error = residual_norm(self._spectra, rank, self._num_subspaces) / (self._spectra.scale or 1.0)
        self.errors[rank - 1], self.exact[rank - 1] = error, True
        # a smaller rank leaves more out, so its error is not below this one
        np.maximum(self.errors[: rank - 1], error - _SLACK, out=self.errors[: rank - 1], where=~self.exact[: rank - 1])

    def _update(self) -> None:
        spectra, number = self._spectra, self._num_subspaces
        ranks = spectra.shape.largest_saving_rank(number)
        self.tight = spectra.knows(number)
        in_closed_form = self.tight and (self._metric != "true" or number == 1)
        self.exact = np.full(ranks, in_closed_form)
        values = spectra.least_values(number)
        if in_closed_form:
            metric = "max" if self._metric == "true" else self._metric
            self.errors = spectral_errors(metric, values, spectra.scale, spectra.norm)[:ranks]
            return
        if self._metric == "true":
            known = true_error_bound(values, min(spectra.shape.matrix), spectra.scale)[:ranks]
        else:
            known = spectral_errors(self._metric, values, spectra.scale, spectra.norm)[:ranks]
        bound = rank_bound(self._metric, spectra.singular_values(1)[:, 0], number, spectra.scale, spectra.norm)[:ranks]
        self.errors = np.maximum(np.maximum(known, bound) - _SLACK, 0.0)
