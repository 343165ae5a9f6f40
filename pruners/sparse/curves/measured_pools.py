"""The allocation "measured": layers keep as much as their own curves say."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from pruners.calibration.calibration import Calibration
from pruners.sparse.curvature.scoring_inputs import Scores
from pruners.sparse.curves.density_curve import DensityCurve
from pruners.sparse.curves.kept_curves import density_curves_of
from pruners.sparse.curves.measured_allocation import divided_by_curves
from pruners.sparse.curves.measuring import curve_digest, measure_density_curve
from pruners.sparse.selection.allocation import Pool
from pruners.sparse.selection.prunable import PrunableLayer
from pruners.sparse.selection.shared_options import SelectionOptions

_DENSITIES = "densities, "


def measured_pools(
    pools: Sequence[Pool],
    layers: Mapping[str, PrunableLayer],
    alive: Mapping[str, Tensor],
    scores: Scores,
    selection: SelectionOptions,
    calibration: Calibration,
) -> list[Pool]:
    """Divide the place that several layers compete for by the curves of their densities.

    Curves that the calibration does not know yet are measured. Pools of a single layer stay.
    """
    divided: list[Pool] = []
    for pool in pools:
        masks = {name: alive[layers[name].parameter] for name in pool.layers}
        left = {name: int(mask.count_nonzero()) for name, mask in masks.items()}
        if len(pool.layers) == 1 or pool.keep == sum(left.values()):
            divided.append(pool)
            continue
        curves = _curves(calibration, alive, {name: layers[name].parameter for name in pool.layers}, scores)
        least = {name: min(selection.min_layer_keep, left[name]) for name in pool.layers}
        counts = divided_by_curves(pool.keep, curves, selection.scale, least)
        divided += [Pool((name,), count) for name, count in counts.items()]
    return divided


def _curves(
    calibration: Calibration, alive: Mapping[str, Tensor], parameters: Mapping[str, str], scores: Scores
) -> dict[str, DensityCurve]:
    """Return each layer's curve; those that nobody has measured yet are asked for together."""
    kept = density_curves_of(calibration)
    orders = {name: _order(alive, parameter, scores[parameter]) for name, parameter in parameters.items()}
    digests = {name: curve_digest(alive, parameters[name], order) for name, order in orders.items()}
    found = calibration.computed(
        {
            _DENSITIES + digests[name]: partial(_described, calibration, alive, parameters[name], order)
            for name, order in orders.items()
            if digests[name] not in kept
        }
    )
    for key, described in found.items():
        kept[key.removeprefix(_DENSITIES)] = DensityCurve.restored(described)
    return {name: kept[digest] for name, digest in digests.items()}


def _order(alive: Mapping[str, Tensor], parameter: str, scores: Tensor) -> Tensor:
    """Return the places of the weights that are alive, the best one first."""
    places = alive[parameter].flatten().nonzero().flatten()
    return places[scores.flatten().cpu()[places].argsort(descending=True, stable=True)]


def _described(
    calibration: Calibration, alive: Mapping[str, Tensor], parameter: str, order: Tensor
) -> dict[str, Any]:
    return measure_density_curve(calibration, alive, parameter, order).described()
