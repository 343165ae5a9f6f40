"""What is known about one layer's options in several foldings of its kernel together."""

import numpy as np

from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import FORMS, Cut
from pruners.lowrank.spectra.frontier import Frontier, LayerSearch, frontier_of
from pruners.lowrank.spectra.layer_spectra import LayerSpectra


class FoldingSearch:
    """One layer's error curves for one metric in any folding, and its frontier over given candidates.

    The error of each option is that of its own folding's matrix.
    """

    def __init__(self, spectra: LayerSpectra, metric: str) -> None:
        self._spectra = spectra
        self._metric = metric
        self._searches: dict[str, LayerSearch] = {}
        self._parts: tuple[Candidates, dict[str, Candidates]] | None = None

    def frontier(self, candidates: Candidates) -> Frontier:
        """Return the options that no other beats in both cost and error, of whatever folding."""
        if self._parts is None or self._parts[0] is not candidates:
            self._parts = candidates, _by_form(candidates)
        found = [self._search(form).frontier(part) for form, part in self._parts[1].items()]
        ranks, subspaces, params, forms, errors, exact = (
            np.concatenate([getattr(frontier, column) for frontier in found])
            for column in ("ranks", "subspaces", "params", "forms", "errors", "exact")
        )
        return frontier_of(Candidates(ranks, subspaces, params, forms), errors, exact)

    def resolve(self, cut: Cut) -> None:
        """Make one option's error exact."""
        self._search(cut.form).resolve(cut)

    def error(self, cut: Cut) -> float:
        """Return the exact error of one option."""
        return self._search(cut.form).error(cut)

    def _search(self, form: str) -> LayerSearch:
        if form not in self._searches:
            self._searches[form] = LayerSearch(self._spectra.folded(form), self._metric)
        return self._searches[form]


def _by_form(candidates: Candidates) -> dict[str, Candidates]:
    columns = candidates.ranks, candidates.subspaces, candidates.params, candidates.forms
    rows = {FORMS[form]: candidates.forms == form for form in np.unique(candidates.forms)}
    return {form: Candidates(*(column[at] for column in columns)) for form, at in rows.items()}
