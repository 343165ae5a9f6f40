"""Error over rank of one layer for one num_subspaces: bounds first, exact where somebody asks."""

import numpy as np

from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.metrics import rank_bound, spectral_errors, true_error_bound
from pruners.lowrank.spectra.residual import Residuals

_SLACK = 1e-6
"""Lower bounds are lowered by this share of s_1, above what rounding can have added to them (sqrt(n eps) at
worst).
"""


class ErrorCurve:
    """Errors of one layer over its ranks, for one num_subspaces and one metric.

    ``errors[j - 1]`` is the error at rank j where ``exact[j - 1]``, otherwise not above it. Ranks that save
    nothing are left out. Exactness comes in two steps: `tighten` looks at all slices, `resolve` makes one
    rank exact. They differ for the metric ``true`` only, which has no closed form in the slices' singular
    values.
    """

    def __init__(self, spectra: LayerSpectra, num_subspaces: int, metric: str) -> None:
        self._spectra = spectra
        self._num_subspaces = num_subspaces
        self._metric = metric
        self.tight = False
        self._residuals: Residuals | None = None
        self._update()

    def tighten(self) -> None:
        """Compute every slice's spectrum."""
        self._spectra.singular_values(self._num_subspaces)
        self._update()
        if not self.exact.all():
            self._residuals = Residuals(self._spectra, self._num_subspaces)
            rank = 1
            while rank <= len(self.errors):
                self._raise_bounds(rank)
                rank *= 4

    def resolve(self, rank: int) -> None:
        """Make the error at this rank exact, and the bounds near it close."""
        if self._residuals is None:
            self.tighten()
        if self._residuals is not None:
            self.errors[rank - 1] = self._residuals.norm(rank) / (self._spectra.scale or 1.0)
            self.exact[rank - 1] = True
            self._raise_bounds(rank)

    def _raise_bounds(self, rank: int) -> None:
        assert self._residuals is not None
        bounds = self._residuals.bounds(rank) / (self._spectra.scale or 1.0) - _SLACK
        np.maximum(self.errors, bounds, out=self.errors, where=~self.exact)

    def _update(self) -> None:
        spectra, number = self._spectra, self._num_subspaces
        ranks = spectra.shape.largest_saving_rank(number)
        self.tight = spectra.knows(number)
        in_closed_form = self.tight and (self._metric != "true" or number == 1)
        self.exact = np.full(ranks, in_closed_form)
        values = spectra.least_singular_values(number)
        if in_closed_form:
            metric = "max" if self._metric == "true" else self._metric
            self.errors = spectral_errors(metric, values, spectra.scale, spectra.norm)[:ranks]
            return
        if self._metric == "true":
            known = true_error_bound(values, min(spectra.shape.matrix), spectra.scale)[:ranks]
        else:
            known = spectral_errors(self._metric, values, spectra.scale, spectra.norm)[:ranks]
        bound = rank_bound(
            self._metric, spectra.singular_values(1)[:, 0], number, spectra.scale, spectra.norm
        )[:ranks]
        self.errors = np.maximum(np.maximum(known, bound) - _SLACK, 0.0)
