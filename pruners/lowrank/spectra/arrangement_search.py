"""What is known about one layer's options in several arrangements of its weight together."""

import numpy as np
from numpy.typing import NDArray

from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import CLUSTERINGS, FORMS, Cut
from pruners.lowrank.spectra.frontier import Frontier, LayerSearch, frontier_of
from pruners.lowrank.spectra.layer_spectra import LayerSpectra

Arrangement = tuple[str, int]
"""A form, and of a clustering the number of clusters: each number has clusters of its own."""


class ArrangementSearch:
    """One layer's error curves for one metric in any folding or clustering, and its frontier over candidates.

    The error of each option is that of its own folding's matrix, or of its own clusters, from starts by
    ``seed``.
    """

    def __init__(self, spectra: LayerSpectra, metric: str, seed: int) -> None:
        self._spectra = spectra
        self._metric = metric
        self._seed = seed
        self._searches: dict[Arrangement, LayerSearch] = {}
        self._parts: tuple[Candidates, dict[Arrangement, Candidates]] | None = None

    def frontier(self, candidates: Candidates) -> Frontier:
        """Return the options that no other beats in both cost and error, of whatever form."""
        if self._parts is None or self._parts[0] is not candidates:
            self._parts = candidates, _by_arrangement(candidates)
        found = [self._search(arranged).frontier(part) for arranged, part in self._parts[1].items()]
        ranks, subspaces, params, forms, errors, exact = (
            np.concatenate([getattr(frontier, column) for frontier in found])
            for column in ("ranks", "subspaces", "params", "forms", "errors", "exact")
        )
        return frontier_of(Candidates(ranks, subspaces, params, forms), errors, exact)

    def resolve(self, cut: Cut) -> None:
        """Make one option's error exact."""
        self._search(_arrangement(cut.form, cut.num_subspaces)).resolve(cut)

    def error(self, cut: Cut) -> float:
        """Return the exact error of one option."""
        return self._search(_arrangement(cut.form, cut.num_subspaces)).error(cut)

    def _search(self, arrangement: Arrangement) -> LayerSearch:
        if arrangement not in self._searches:
            arranged = self._spectra.arranged(*arrangement, self._seed)
            self._searches[arrangement] = LayerSearch(arranged, self._metric)
        return self._searches[arrangement]


def _arrangement(form: str, num_subspaces: int) -> Arrangement:
    return form, num_subspaces if form in CLUSTERINGS else 0


def _by_arrangement(candidates: Candidates) -> dict[Arrangement, Candidates]:
    columns = candidates.ranks, candidates.subspaces, candidates.params, candidates.forms
    rows: dict[Arrangement, NDArray[np.bool_]] = {}
    for form, number in np.unique(np.stack([candidates.forms, candidates.subspaces]), axis=1).T.tolist():
        of_cut = (candidates.forms == form) & (candidates.subspaces == number)
        arrangement = _arrangement(FORMS[form], number)
        rows[arrangement] = rows.get(arrangement, of_cut) | of_cut
    return {one: Candidates(*(column[at] for column in columns)) for one, at in rows.items()}
