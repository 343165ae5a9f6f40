"""The allocation "measured": layers keep as much as their own curves say."""

from collections.abc import Mapping, Sequence

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
        curves = {
            name: _curve(calibration, alive, layers[name].parameter, scores[layers[name].parameter])
            for name in pool.layers
        }
        least = {name: min(selection.min_layer_keep, left[name]) for name in pool.layers}
        counts = divided_by_curves(pool.keep, curves, selection.scale, least)
        divided += [Pool((name,), count) for name, count in counts.items()]
    return divided


def _curve(
    calibration: Calibration, alive: Mapping[str, Tensor], parameter: str, scores: Tensor
) -> DensityCurve:
    places = alive[parameter].flatten().nonzero().flatten()
    ranked = scores.flatten().cpu()[places].argsort(descending=True, stable=True)
    order, kept = places[ranked], density_curves_of(calibration)
    digest = curve_digest(alive, parameter, order)
    if digest not in kept:
        kept[digest] = measure_density_curve(calibration, alive, parameter, order)
    return kept[digest]
