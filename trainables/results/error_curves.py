"""The errors that a network's layers were chosen by, for whoever looks at the choice."""

from pruners.calibration.calibration import calibration_kept
from pruners.lowrank.curves.kept import ERRORS_BY_DATA
from pruners.lowrank.methods.rank_method import RankMethod
from pruners.planning import error_curves as curves_of_layers
from trainables.execution.network import Network
from trainables.stages import Compress
from trainables.users_code.methods import method_named

_MOST = 16  # points of a curve, evenly spaced among its options

Curves = dict[str, list[tuple[float, float]]]
"""Of each layer: share of its weights kept, ascending, and error."""


def error_curves(dense: Network, stage: Compress, seed: int) -> Curves:
    """Return the layers' error curves where the method chose by calibration images; none for other methods.

    They are kept with the calibration: nothing is measured again.
    """
    method, calibration = method_named(stage.method), calibration_kept(dense.module)
    if calibration is None or not isinstance(method, RankMethod):
        return {}
    if method.metric(method.with_defaults(stage.method_options())) not in ERRORS_BY_DATA:
        return {}
    found = curves_of_layers(
        dense.module, stage.method, data=calibration, seed=seed, **stage.method_options()
    )
    return {name: _thinned(curve) for name, curve in found.items()}


def _thinned(curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
    last = len(curve) - 1
    places = {round(last * point / (_MOST - 1)) for point in range(_MOST)}
    return [curve[place] for place in sorted(places)]
