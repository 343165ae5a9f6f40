"""The options of one layer that are worth looking at.

Each is dearer than the one before, with a smaller error.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruners.lowrank.layers.candidates import Candidates, Integers
from pruners.lowrank.layers.cut import FORMS, Cut
from pruners.lowrank.spectra.error_curve import ErrorCurve
from pruners.lowrank.spectra.layer_error import layer_error
from pruners.lowrank.spectra.layer_spectra import LayerSpectra


@dataclass(frozen=True, eq=False)
class Frontier:
    """Options as parallel arrays: params strictly ascending, errors strictly descending.

    Errors may be lower bounds where not ``exact``.
    """

    ranks: Integers
    subspaces: Integers
    params: Integers
    forms: Integers
    errors: NDArray[np.float64]
    exact: NDArray[np.bool_]

    def cut(self, row: int) -> Cut:
        """Return one option."""
        return Cut(int(self.ranks[row]), int(self.subspaces[row]), FORMS[self.forms[row]])


def frontier_of(
    candidates: Candidates, errors: NDArray[np.float64], exact: NDArray[np.bool_] | None = None
) -> Frontier:
    """Return the candidates that no other beats in both weights and error.

    Of options alike in both the one with the fewest subspaces, then of the first form. All errors are exact
    unless told otherwise.
    """
    exact = np.ones(len(errors), dtype=bool) if exact is None else exact
    order = np.lexsort((candidates.forms, candidates.subspaces, errors, candidates.params))
    best_before = np.minimum.accumulate(np.concatenate([[np.inf], errors[order][:-1]]))
    kept = order[errors[order] < best_before]
    return Frontier(
        candidates.ranks[kept],
        candidates.subspaces[kept],
        candidates.params[kept],
        candidates.forms[kept],
        errors[kept],
        exact[kept],
    )


class LayerSearch:
    """One layer's error curves for one metric, and its frontier over given candidates."""

    def __init__(self, spectra: LayerSpectra, metric: str) -> None:
        self._spectra = spectra
        self._metric = metric
        self._curves: dict[int, ErrorCurve] = {}
        self._candidates: Candidates | None = None
        self._frontier: Frontier | None = None

    def frontier(self, candidates: Candidates) -> Frontier:
        """Return the frontier over these candidates.

        Its error curves are tight wherever more than a single rank of them is on it. A cut that is on the
        frontier with rank 1 alone (the dear, coarse cuts usually are) matters to the tightest budgets only
        and is tightened when one asks for it.
        """
        if self._frontier is None or self._candidates is not candidates:
            self._candidates = candidates
            self._prepare(candidates)
            self._frontier = self._build(candidates)
            while loose := self._loose(self._frontier):
                for number in loose:
                    self._curves[number].tighten()
                self._frontier = self._build(candidates)
        return self._frontier

    def resolve(self, cut: Cut) -> None:
        """Make one option's error exact."""
        self._curves[cut.num_subspaces].resolve(cut.rank)
        self._frontier = None

    def error(self, cut: Cut) -> float:
        """Return the exact error of one option."""
        return layer_error(self._spectra, cut.rank, cut.num_subspaces, self._metric)

    def _prepare(self, candidates: Candidates) -> None:
        missing = [n for n in np.unique(candidates.subspaces).tolist() if n and n not in self._curves]
        if missing:
            self._spectra.survey(missing)
            self._curves |= {n: ErrorCurve(self._spectra, n, self._metric) for n in missing}

    def _loose(self, frontier: Frontier) -> list[int]:
        numbers, counts = np.unique(frontier.subspaces, return_counts=True)
        pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
        return [n for n, count in pairs if n and count > 1 and not self._curves[n].tight]

    def _build(self, candidates: Candidates) -> Frontier:
        errors = np.zeros(len(candidates.params))
        exact = np.ones(len(candidates.params), dtype=bool)
        for number in np.unique(candidates.subspaces):
            if number:
                rows = candidates.subspaces == number
                curve = self._curves[int(number)]
                errors[rows] = curve.errors[candidates.ranks[rows] - 1]
                exact[rows] = curve.exact[candidates.ranks[rows] - 1]
        return frontier_of(candidates, errors, exact)
