"""A number of weights divided among layers by what each layer's density costs the network's outputs."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pruners.allocation.knapsack import knapsack
from pruners.sparse.curves.density_curve import DensityCurve

_OPTIONS = 64
"""Numbers of weights that a layer may keep before the remainder is spent, evenly spaced on a log scale."""


def divided_by_curves(
    total: int,
    curves: Mapping[str, DensityCurve],
    scale: Mapping[str, float],
    least: Mapping[str, int],
) -> dict[str, int]:
    """Divide ``total`` weights among layers so that the sum of their curves is as small as possible.

    Every layer keeps at least its ``least`` and at most what its curve ends at; ``total`` must be within the
    sums of both. ``scale`` multiplies curves by layer, those left out by 1 (SPDY, Frantar & Alistarh, ICML
    2022, arXiv 2201.13096, section 3.2). Of each layer about 64 numbers of weights are options for the exact
    knapsack. What these leave of ``total``, less than one step of any layer that would gain by it, goes to
    the layer whose curve falls most for each weight up to its next option, the earlier one among equals, and
    so on until nothing is left.
    """
    options = {name: _options(least[name], curve.counts[-1]) for name, curve in curves.items()}
    errors = {name: curve.added(options[name]) * scale.get(name, 1.0) for name, curve in curves.items()}
    chosen = knapsack([*options.values()], [*errors.values()], total)
    counts = {name: int(options[name][pick]) for name, pick in zip(options, chosen, strict=True)}
    while left := total - sum(counts.values()):
        name, step = _steepest(counts, options, curves, scale)
        counts[name] += min(step, left)
    return counts


def _options(least: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.rint(np.expm1(np.linspace(np.log1p(least), np.log1p(most), _OPTIONS)))).astype(
        np.int64
    )


def _steepest(
    counts: Mapping[str, int],
    options: Mapping[str, NDArray[np.int64]],
    curves: Mapping[str, DensityCurve],
    scale: Mapping[str, float],
) -> tuple[str, int]:
    """Return the layer that gains most for each weight up to its next option, and how many these are."""
    gains = {}
    for name, count in counts.items():
        if count < options[name][-1]:
            following = int(options[name][np.searchsorted(options[name], count, side="right")])
            here, there = curves[name].added([count, following]) * scale.get(name, 1.0)
            gains[name] = (here - there) / (following - count), following - count
    name = max(gains, key=lambda layer: gains[layer][0])
    return name, gains[name][1]
