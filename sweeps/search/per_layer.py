"""One group of parameters for each compressible layer."""

import fnmatch
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from pruners import LayerShape
from pruners.errors import nearest
from sweeps.sweep_file.keys import PerLayer, Range, Scale

TOLERANCE, SCALE, RANK, NUM_SUBSPACES = "/tolerance", "/scale", "/rank", "/num_subspaces"
ON_BUDGET = (TOLERANCE, SCALE)
"""What bends the allocator and leaves every trial within its budget; all of them 1: the method's own answer.
"""


def distributions(per_layer: PerLayer, shapes: Mapping[str, LayerShape]) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions for each layer.

    Their names are ``<layer>/tolerance``, or ``<layer>/rank`` and ``<layer>/num_subspaces``. Ranks are drawn
    on a logarithmic scale: evenly drawn ones would put nearly every network over a small budget. Raises
    ValueError where a pattern matches no layer.
    """
    space: dict[str, BaseDistribution] = {}
    for name in _matching(per_layer.layers, shapes):
        if per_layer.tolerance:
            space[name + TOLERANCE] = _tolerance(per_layer.tolerance)
        else:
            space.update(_shape(name, shapes[name], per_layer))
    return space


def first_trial(per_layer: PerLayer, space: Mapping[str, BaseDistribution]) -> dict[str, Any] | None:
    """Return the method's own answer where the search holds it: every tolerance, or scale, 1."""
    bends = per_layer.tolerance or per_layer.scale
    return {name: 1.0 for name in space if name.endswith(ON_BUDGET)} if bends else None


def scale_distributions(
    per_layer: PerLayer, scale: Scale, layers: Collection[str], sampler: str
) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of ``<layer>/scale`` for each layer.

    Optuna has no normal distribution. CMA-ES starts in the middle of a range with a sixth of it as its
    standard deviation, so that its first generation is log-normal around 1 with the spread where the range is
    six spreads of the logarithm; all others draw evenly on a logarithmic scale, from the range whose standard
    deviation is the spread. Raises ValueError where a pattern matches no layer.
    """
    reach = math.exp(scale.spread * (3 if sampler == "cmaes" else math.sqrt(3)))
    names = _matching(per_layer.layers, layers)
    return {name + SCALE: FloatDistribution(1 / reach, reach, log=True) for name in names}


def scales(params: Mapping[str, Any]) -> dict[str, float]:
    """Return the factor of each layer's error curve among a trial's parameters."""
    return {name.removesuffix(SCALE): value for name, value in params.items() if name.endswith(SCALE)}


def tolerances(params: Mapping[str, Any]) -> dict[str, float]:
    """Return the tolerance of each layer among a trial's parameters."""
    return {name.removesuffix(TOLERANCE): value for name, value in params.items() if name.endswith(TOLERANCE)}


def layers(params: Mapping[str, Any], shapes: Mapping[str, LayerShape]) -> dict[str, dict[str, int]]:
    """Return rank and num_subspaces of each layer among a trial's parameters.

    The range of a rank is that of one subspace; where more subspaces leave less room, the largest rank that
    still saves something is meant.
    """
    chosen = {}
    for name in (n.removesuffix(RANK) for n in params if n.endswith(RANK)):
        num_subspaces = params[name + NUM_SUBSPACES]
        rank = min(params[name + RANK], shapes[name].largest_saving_rank(num_subspaces))
        chosen[name] = {"rank": rank, "num_subspaces": num_subspaces}
    return chosen


def is_per_layer(name: str) -> bool:
    """Tell whether a parameter of the study belongs to one layer."""
    return name.endswith((*ON_BUDGET, RANK, NUM_SUBSPACES))


def _tolerance(bounds: Range) -> FloatDistribution:
    return FloatDistribution(bounds.min, bounds.max, log=True)


def _shape(name: str, shape: LayerShape, per_layer: PerLayer) -> dict[str, BaseDistribution]:
    wanted = per_layer.num_subspaces.values if per_layer.num_subspaces else None
    counts = [
        n
        for n in shape.candidate_subspaces
        if shape.largest_saving_rank(n) >= 1 and (wanted is None or n in wanted)
    ]
    if not counts:
        return {}
    low, high = (per_layer.rank.min, per_layer.rank.max) if per_layer.rank else (1, None)
    most = max(shape.largest_saving_rank(n) for n in counts)
    most = most if high is None else min(most, high)
    return {
        name + RANK: IntDistribution(min(low, most), most, log=True),
        name + NUM_SUBSPACES: CategoricalDistribution(counts),
    }


def _matching(patterns: Iterable[str], layers: Collection[str]) -> list[str]:
    for pattern in patterns:
        if not fnmatch.filter(layers, pattern):
            raise ValueError(f'"{pattern}" matches no compressible layer{nearest(pattern, layers)}')
    return [name for name in layers if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
