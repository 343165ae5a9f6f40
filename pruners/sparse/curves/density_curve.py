"""How far a network's outputs move over the number of weights that one of its layers keeps."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class DensityCurve:
    """The divergence of a network over the number of weights that one layer keeps.

    Parallel tuples: numbers of weights, ascending, the last of them all that the layer has; and the
    divergence of the network's outputs from the dense one's, BatchNorm re-estimated. The last divergence is
    hence what re-estimating BatchNorm alone does.
    """

    counts: tuple[int, ...]
    divergences: tuple[float, ...]

    def added(self, counts: ArrayLike) -> NDArray[np.float64]:
        """Return what keeping these numbers of weights adds to the divergence; never less for fewer.

        At a measured number it is the least divergence of this and all smaller ones; in between it is linear
        in the logarithm of the number of weights plus one, and below the smallest as at that.
        """
        falling = np.minimum.accumulate(self.divergences)
        known, asked = np.log1p(self.counts), np.log1p(counts)
        return np.maximum(np.interp(asked, known, falling) - falling[-1], 0.0)

    def described(self) -> dict[str, Any]:
        """Describe the curve as JSON-able data, to the bit."""
        return asdict(self)

    @classmethod
    def restored(cls, described: Mapping[str, Any]) -> Self:
        """Restore the curve that `described` told of. Raises TypeError or ValueError for another's data."""
        curve = cls(**{name: tuple(values) for name, values in described.items()})
        if len(curve.counts) != len(curve.divergences) or not curve.counts:
            raise ValueError("the curve's tuples are not of one length")
        return curve
