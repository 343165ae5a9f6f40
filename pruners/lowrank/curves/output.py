"""The error of a layer's outputs over its options, each with its decoder fitted to the calibration images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pruners.calibration.moments.moment import Moment, about_means
from pruners.lowrank.fitting.encoders import weight_encoders, whitened_encoders
from pruners.lowrank.fitting.output_fit import OutputFit
from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.spectra.frontier import Frontier, frontier_of
from pruners.lowrank.spectra.layer_spectra import LayerSpectra

_MOST_ENCODERS = 1536
"""Time grows with its third power: a layer of 512 x 4,608 takes 3.5 s, with 2,560 of them 5.6 s."""


@dataclass(frozen=True, eq=False)
class LayerData:
    """What calibration images tell of one layer.

    ``inputs`` is the moment of its inputs, and ``centred`` says that a constant offset of its outputs does
    not matter. ``gradients`` is the moment of the gradients at its outputs, where these are asked for, and
    ``images`` their number.
    """

    inputs: Moment
    centred: bool
    gradients: Moment | None
    images: int

    def second(self) -> Tensor:
        """Return the moment of the inputs that the outputs' error follows from."""
        mean, second = self.inputs.mean, self.inputs.second
        return about_means(second, second, mean, mean)[0] if self.centred else second


class OutputErrors:
    """One layer's options with what is lost of its outputs after the refit.

    W is the folded weight, S the second moment of the inputs, E the encoders that ``encoders`` names and D
    the decoder of least ||(D E - W) S^(1/2)||_F. The error of a rank and num_subspaces is that divided by
    ||W S^(1/2)||_F, the relative error of the outputs. Where there are ``data.gradients``, with second moment
    G, it is the divergence that they predict, in nats an image: half the positions of an image times
    trace(G (D E - W) S (D E - W)^T), the Fisher matrix with one Kronecker product for a layer (K-FAC, Martens
    and Grosse, ICML 2015; for convolutions Grosse and Martens, ICML 2016). D is the same: whatever weighs the
    rows of an error, each has a decoder of its own.

    The ranks of one num_subspaces are computed together, and kept.
    """

    def __init__(self, spectra: LayerSpectra, data: LayerData, encoders: str, ridge: float) -> None:
        self._spectra = spectra
        self._data = data
        self._encoders = encoders
        self._ridge = ridge
        self._errors: dict[int, NDArray[np.float64]] = {}
        self._kept: tuple[Candidates, Frontier] | None = None

    def frontier(self, candidates: Candidates) -> Frontier:
        """Return the options that no other beats in both weights and error; all errors are exact.

        Left out are those with more than 1,536 encoders of all slices together, where there are others: the
        most weights in the finest cuts of layers with more columns than that.
        """
        if self._kept is None or self._kept[0] is not candidates:
            compared = _not_too_many_encoders(candidates)
            numbers = np.unique(compared.subspaces[compared.subspaces > 0]).tolist()
            self._compute({n: int(compared.ranks[compared.subspaces == n].max()) for n in numbers})
            errors = np.zeros(len(compared.params))
            for number in numbers:
                rows = compared.subspaces == number
                errors[rows] = self._errors[number][compared.ranks[rows] - 1]
            self._kept = candidates, frontier_of(compared, errors)
        return self._kept[1]

    def resolve(self, cut: Cut) -> None:
        """Do nothing: every error is exact."""

    def error(self, cut: Cut) -> float:
        """Return the error of one option."""
        self._compute({cut.num_subspaces: cut.rank})
        return float(self._errors[cut.num_subspaces][cut.rank - 1])

    def _compute(self, ranks: Mapping[int, int]) -> None:
        """Compute the errors of each number of subspaces up to a rank where they are not there."""
        missing = {
            n: rank for n, rank in ranks.items() if n not in self._errors or len(self._errors[n]) < rank
        }
        if not missing:
            return
        matrix, gradients = self._spectra.matrix, self._data.gradients
        weighed = matrix if gradients is None else _root(gradients.second).mT @ matrix
        fit = OutputFit(weighed, self._data.second(), self._ridge)
        for number, rank in missing.items():
            encoders = (
                whitened_encoders(matrix, fit.second, rank, number)
                if self._encoders == "whitened"
                else weight_encoders(matrix, rank, number)
            )
            relative = fit.errors(encoders)
            if gradients is None:
                self._errors[number] = relative
            else:
                half_the_positions = gradients.columns / self._data.images / 2
                self._errors[number] = half_the_positions * fit.energy * np.square(relative)


def _not_too_many_encoders(candidates: Candidates) -> Candidates:
    """Return the options whose normal equations are quickly solved; all where there are none."""
    few = candidates.ranks * candidates.subspaces <= _MOST_ENCODERS
    if few.all() or not few.any():
        return candidates
    return Candidates(
        candidates.ranks[few], candidates.subspaces[few], candidates.params[few], candidates.forms[few]
    )


def _root(second: Tensor) -> Tensor:
    """Return R with R R^T = G of each of these matrices; G may be singular."""
    values, vectors = torch.linalg.eigh(second)
    return vectors * values.clamp_min(0).sqrt().unsqueeze(-2)
