"""The error of a layer's outputs over its options, each with its decoder fitted to the calibration images."""

import numpy as np
from numpy.typing import NDArray

from pruners.calibration.moment import Moment
from pruners.lowrank.fitting.encoders import weight_encoders, whitened_encoders
from pruners.lowrank.fitting.output_fit import OutputFit
from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.spectra.frontier import Frontier, frontier_of
from pruners.lowrank.spectra.layer_spectra import LayerSpectra


class OutputErrors:
    """One layer's options with the relative error of its outputs after the refit.

    W is the folded weight, S the second moment of the inputs. The error of a rank and num_subspaces is
    ||(D E - W) S^(1/2)||_F / ||W S^(1/2)||_F with the encoders E that ``encoders`` names and the decoder D
    that makes it least. All ranks of one num_subspaces are computed together when one of them is asked for,
    and kept.
    """

    def __init__(self, spectra: LayerSpectra, moment: Moment, encoders: str, ridge: float) -> None:
        self._spectra = spectra
        self._moment = moment
        self._encoders = encoders
        self._ridge = ridge
        self._errors: dict[int, NDArray[np.float64]] = {}
        self._kept: tuple[Candidates, Frontier] | None = None

    def frontier(self, candidates: Candidates) -> Frontier:
        """Return the options that no other beats in both weights and error; all errors are exact."""
        if self._kept is None or self._kept[0] is not candidates:
            numbers = np.unique(candidates.subspaces[candidates.subspaces > 0]).tolist()
            self._compute(numbers)
            errors = np.zeros(len(candidates.params))
            for number in numbers:
                rows = candidates.subspaces == number
                errors[rows] = self._errors[number][candidates.ranks[rows] - 1]
            self._kept = candidates, frontier_of(candidates, errors)
        return self._kept[1]

    def resolve(self, rank: int, num_subspaces: int) -> None:
        """Do nothing: every error is exact."""

    def error(self, rank: int, num_subspaces: int) -> float:
        """Return the error of one option."""
        self._compute([num_subspaces])
        return float(self._errors[num_subspaces][rank - 1])

    def _compute(self, subspaces: list[int]) -> None:
        """Compute the errors at rank 1, 2, ... of each number of subspaces where they are not there."""
        missing = [number for number in subspaces if number not in self._errors]
        if missing:
            matrix, second = self._spectra.matrix, self._moment.second
            fit = OutputFit(matrix, second, self._ridge)
            for number in missing:
                rank = self._spectra.shape.largest_saving_rank(number)
                encoders = (
                    whitened_encoders(matrix, second, rank, number)
                    if self._encoders == "whitened"
                    else weight_encoders(matrix, rank, number)
                )
                self._errors[number] = fit.errors(encoders)
