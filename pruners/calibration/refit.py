"""What a refit came to."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Refit:
    """How factors, or kept weights, were fitted to data, and whether that was kept.

    ``refit``, ``ridge`` and ``encoders`` (None of a mask) are the options, ``images`` the number of
    calibration images. ``divergence`` is that of the refitted network from the dense one on (some of) them,
    ``divergence_without`` that of the network with the method's own factors or weights, both with BatchNorm
    re-estimated (see `Calibration`); the refitted network is ``kept`` where its own is less. A refit by
    moments alone runs neither and is kept: both are None.
    ``output_errors`` is the relative output error of each layer that was fitted; one that the network does
    not call is not.
    """

    refit: str
    ridge: float
    images: int
    divergence: float | None
    divergence_without: float | None
    kept: bool
    output_errors: Mapping[str, float]
    encoders: str | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """Weights, biases and BatchNorm statistics by their names in the small network, and what they came of."""

    tensors: Mapping[str, Tensor]
    refit: Refit
