"""The curves of a network's layers, kept beside its calibration so that a further budget is quick."""

from weakref import WeakKeyDictionary

from pruners.calibration.calibration import Calibration
from pruners.sparse.curves.density_curve import DensityCurve


def density_curves_of(calibration: Calibration) -> dict[str, DensityCurve]:
    """Return the curves kept with a calibration by their `curve_digest`, none at first; they go with it.

    Curves that were measured elsewhere are handed in by putting them here.
    """
    return _kept.setdefault(calibration, {})


_kept: WeakKeyDictionary[Calibration, dict[str, DensityCurve]] = WeakKeyDictionary()
