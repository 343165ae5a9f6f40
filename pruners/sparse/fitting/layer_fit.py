"""The kept weights of one layer, all groups of it, fitted to the outputs that are wanted."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruners.calibration.moments.columns import Layer
from pruners.calibration.moments.input_moments import call_moments
from pruners.calibration.moments.moment import FitMoments, Moment
from pruners.sparse.fitting.kept_weights import fitted_weights


@dataclass(frozen=True, eq=False)
class LayerFit:
    """A layer's fitted weight, in its own shape and float64 on the CPU.

    ``shift`` (rows of all groups) is what the outputs lack on average, ``output_error`` the relative error
    that remains when a bias has it.
    """

    weight: Tensor
    shift: Tensor
    output_error: float


def fit_to_own_outputs(
    layer: Layer, kept: Tensor, moment: Moment, ridge: float, about_means: bool
) -> LayerFit:
    """Fit the kept weights to what the whole layer makes of the same inputs, of this moment."""
    matrix = _folded(layer)
    moments = FitMoments.of_dense_inputs(matrix, moment)
    return _fitted(layer, kept, moments.centred() if about_means else moments, ridge, False)


def fit_to_outputs(
    name: str, layer: Layer, kept: Tensor, inputs: Tensor, outputs: Tensor, ridge: float, about_means: bool
) -> LayerFit | None:
    """Fit the kept weights so that they make ``outputs`` (a call's, of the dense layer) of other ``inputs``.

    ``about_means`` says that a constant offset of the outputs does not matter. None where inputs are empty.
    Raises PrunerError with the layer's name where inputs or outputs are not finite.
    """
    moments = call_moments(layer, inputs, outputs)
    if moments is None:
        return None
    moments.check_finite(name)
    return _fitted(layer, kept, moments.centred() if about_means else moments, ridge, True)


def _fitted(layer: Layer, kept: Tensor, moments: FitMoments, ridge: float, other_inputs: bool) -> LayerFit:
    matrices = _folded(layer)
    groups = zip(matrices, kept.reshape(matrices.shape), moments.second, moments.target, strict=True)
    weights = torch.stack(
        [
            fitted_weights(matrix, mask, second, ridge, target if other_inputs else None)
            for matrix, mask, second, target in groups
        ]
    )
    left = moments.energy + float(((weights @ moments.second - 2 * moments.target) * weights).sum())
    error = (max(left, 0.0) / moments.energy) ** 0.5 if moments.energy > 0 else 0.0
    shift = moments.output_mean - (weights @ moments.mean.unsqueeze(-1)).squeeze(-1)
    return LayerFit(weights.reshape(layer.weight.shape), shift.flatten(), error)


def _folded(layer: Layer) -> Tensor:
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    weight = layer.weight.detach().to("cpu", torch.float64)
    return weight.reshape(groups, len(weight) // groups, -1)
