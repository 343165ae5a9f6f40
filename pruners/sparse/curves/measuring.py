"""One layer at a time masked to a few densities, and how far the network's outputs then are from dense."""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pruners.calibration.calibration import Calibration
from pruners.errors import PrunerError
from pruners.network.copying import copied
from pruners.network.layer_names import named_parameters, unwrapped
from pruners.sparse.curves.density_curve import DensityCurve

SPARSEST = 0.01
"""The lowest density, but for none at all, at which a layer is measured."""

STEPS = 8
"""Densities from it up to, and without, 1, evenly spaced on a logarithmic scale."""


def measure_density_curve(
    calibration: Calibration, alive: Mapping[str, Tensor], parameter: str, order: Tensor
) -> DensityCurve:
    """Measure one layer of a network, all others as ``alive`` leaves them, at about ten densities.

    ``alive`` holds the bool masks to go on from, by parameter name, and ``order`` the places of the layer's
    weights that are alive in its flattened weight, the best one first (int64). At each density the layer
    keeps the first of these, BatchNorm is re-estimated on the calibration images, and the outputs are
    compared with the dense network's on the same. Nothing kept is measured too, and everything.

    The answer depends on nothing but the arguments' contents (`curve_digest`), so that curves of different
    layers can be measured elsewhere, kept and put together. The network is left as it is.
    """
    network = calibration.model()
    if network is None:
        raise PrunerError("The network of this calibration is gone: keep a reference to it.")
    small = copied(unwrapped(network))
    weights = named_parameters(small)
    with torch.no_grad():
        for name, mask in alive.items():
            weights[name].masked_fill_(~mask.to(weights[name].device), 0)
        weight = weights[parameter]
        whole, counts, divergences = weight.detach().clone(), measured_counts(len(order)), []
        for count in counts:
            kept = torch.zeros(weight.numel(), dtype=torch.bool, device="cpu")
            kept.index_fill_(0, order[:count], True)
            weight.copy_(whole.masked_fill(~kept.view(weight.shape).to(weight.device), 0))
            divergences.append(calibration.divergence_recalibrated(small))
    return DensityCurve(tuple(counts), tuple(divergences))


def measured_counts(weights: int) -> list[int]:
    """Return the numbers of weights at which a layer of so many is measured, from none to all."""
    densities = np.geomspace(SPARSEST, 1.0, STEPS + 1)
    return sorted({0, *(round(float(density) * weights) for density in densities)})


def curve_digest(alive: Mapping[str, Tensor], parameter: str, order: Tensor) -> str:
    """Hash what a curve depends on besides network and images: 64 hexadecimal digits."""
    hasher = hashlib.sha256(f"{parameter} {SPARSEST} {STEPS}\n".encode())
    for name, mask in alive.items():
        hasher.update(f"{name} {tuple(mask.shape)}\n".encode())
        hasher.update(np.packbits(mask.cpu().numpy()).data)
    hasher.update(order.cpu().numpy().data)
    return hasher.hexdigest()
