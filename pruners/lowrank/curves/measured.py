"""How far a network's outputs move when one of its layers alone is compressed, measured at a few sizes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pruners.calibration.calibration import Calibration
from pruners.lowrank.fitting.factor_tensors import unfitted_tensors
from pruners.lowrank.fitting.network_fit import small_network
from pruners.lowrank.layers.candidates import Candidates, layer_candidates
from pruners.lowrank.layers.cut import DENSE, Cut
from pruners.lowrank.spectra.frontier import Frontier, LayerSearch, frontier_of
from pruners.lowrank.spectra.network_spectra import Spectra

SIZES = 10
"""Sizes at which a layer is measured, besides dense."""

WEIGHT_ERROR = "max"
"""The error of a layer's weight that says which option stands for a size, and what lies between two sizes."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MeasuredCurve:
    """The divergence of a network over the sizes of one of its layers.

    Parallel tuples from the smallest size to dense (rank and num_subspaces 0): what was put in the layer's
    place, its weight's error as ALDS has it (`max`), and KL(dense || compressed) of the network's outputs in
    nats, BatchNorm re-estimated. The last says what re-estimating BatchNorm alone does.
    """

    ranks: tuple[int, ...]
    subspaces: tuple[int, ...]
    weight_errors: tuple[float, ...]
    divergences: tuple[float, ...]

    def divergence(self, weight_errors: Floats) -> Floats:
        """Return the divergence at given errors of the weight.

        Between two measured sizes it grows with the square of the weight's error, as that of a network with
        small changes does. A size that a smaller one beats is left out. Above the largest measured error it
        is in proportion to the square.
        """
        squares, divergences = self._knots()
        asked = np.square(weight_errors)
        beyond = np.maximum(asked / (squares[-1] or np.inf), 1.0)
        return np.interp(asked, squares, divergences) * beyond

    def added(self, weight_errors: Floats) -> Floats:
        """Return how much more the outputs diverge than those of the dense layer, BatchNorm re-estimated."""
        return self.divergence(weight_errors) - self.divergences[-1]

    def described(self) -> dict[str, Any]:
        """Describe the curve as JSON-able data, to the bit."""
        return asdict(self)

    @classmethod
    def restored(cls, described: Mapping[str, Any]) -> Self:
        """Restore the curve that `described` told of. Raises TypeError or ValueError for another's data."""
        curve = cls(**{name: tuple(values) for name, values in described.items()})
        if len({len(values) for values in described.values()}) != 1 or not curve.ranks:
            raise ValueError("the curve's tuples are not of one length")
        return curve

    def _knots(self) -> tuple[Floats, Floats]:
        """Return squared weight errors and divergences, both strictly ascending, dense first."""
        kept = [(self.weight_errors[-1], self.divergences[-1])]
        best = np.inf
        for error, divergence in zip(self.weight_errors[:-1], self.divergences[:-1], strict=True):
            if self.divergences[-1] < divergence < best:
                best = divergence
                kept.insert(1, (error, divergence))
        errors, divergences = np.array(kept).T
        return np.square(errors), divergences


class MeasuredErrors:
    """One layer's options with what each would add to the divergence of the network's outputs."""

    def __init__(self, search: LayerSearch, curve: MeasuredCurve) -> None:
        self._search = search
        self._curve = curve

    def frontier(self, candidates: Candidates) -> Frontier:
        """Return the options that no other beats in both weights and error."""
        best = self._search.frontier(candidates)
        options = Candidates(best.ranks, best.subspaces, best.params, best.forms)
        return frontier_of(options, self._curve.added(best.errors), best.exact)

    def resolve(self, cut: Cut) -> None:
        """Make the error of one option exact."""
        self._search.resolve(cut)

    def error(self, cut: Cut) -> float:
        """Return the error of one option."""
        return float(self._curve.added(np.array([self._search.error(cut)]))[0])


def measure_curve(
    calibration: Calibration, spectra: Spectra, layer: str, sizes: int = SIZES
) -> MeasuredCurve:
    """Measure one layer of a network, with the other layers dense, at about ``sizes`` sizes and as it is.

    The sizes are evenly spaced on a logarithmic scale. At each the layer becomes the option with the least
    error of its weight (RD-prune, Xu et al., ICCV 2023, arXiv 2308.10438, calls the curve the layer's rate
    and distortion; SPDY, Frantar and Alistarh, ICML 2022, arXiv 2201.13096, measures such). The answer
    depends on nothing but the arguments' contents, so that curves of different layers can be measured
    elsewhere, kept and put together. The network is left as it is.
    """
    search = spectra.search(layer, WEIGHT_ERROR)
    options = _evenly_spaced(search, spectra, layer, sizes)
    divergences = [_divergence(calibration, spectra, layer, option) for option in options]
    errors = [0.0 if option == DENSE else search.error(option) for option in options]
    ranks = tuple(option.rank for option in options)
    subspaces = tuple(option.num_subspaces for option in options)
    return MeasuredCurve(ranks, subspaces, tuple(errors), tuple(divergences))


def _evenly_spaced(search: LayerSearch, spectra: Spectra, layer: str, sizes: int) -> list[Cut]:
    shape = spectra.shape.layers[layer]
    frontier = search.frontier(layer_candidates(shape, shape.candidate_subspaces))
    wanted = np.geomspace(frontier.params[0], shape.params, sizes + 1)
    rows = np.abs(np.log(frontier.params[:, None] / wanted[None, :])).argmin(axis=0)
    chosen = [frontier.cut(row) for row in np.unique(rows).tolist()]
    return [option for option in chosen if option != DENSE] + [DENSE]


def _divergence(calibration: Calibration, spectra: Spectra, layer: str, option: Cut) -> float:
    cuts = {} if option == DENSE else {layer: option}
    small = small_network(calibration.network(), spectra, cuts, unfitted_tensors(spectra, cuts))
    return calibration.divergence_recalibrated(small)
