"""The kept weights of one layer, all groups of it, fitted to the outputs that are wanted."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruners.calibration.columns import Layer, layer_columns
from pruners.calibration.input_moments import LayerSums
from pruners.calibration.moment import FitMoments, Moment
from pruners.sparse.fitting.kept_weights import fitted_weights

_ELEMENTS = 2**24  # of columns that are there at once


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
    layer: Layer, kept: Tensor, inputs: Tensor, outputs: Tensor, ridge: float, about_means: bool
) -> LayerFit | None:
    """Fit the kept weights so that they make ``outputs`` (a call's, of the dense layer) of other ``inputs``.

    ``about_means`` says that a constant offset of the outputs does not matter. None where inputs are empty.
    """
    sums = LayerSums(layer)
    sums.add(inputs)
    moment = sums.moment()
    if moment is None:
        return None
    rows, energy = layer.weight.shape[0], 0.0
    target = torch.zeros(len(moment.second), rows // len(moment.second), moment.second.shape[-1]).double()
    output_mean = torch.zeros(target.shape[:2]).double()
    for columns, wanted in _parts(layer, inputs.detach(), outputs.detach()):
        target += (wanted @ columns.mT).double().cpu()
        output_mean += wanted.sum(-1, dtype=torch.float64).cpu()
        energy += float(wanted.double().square().sum())
    number = moment.columns
    moments = FitMoments(moment.second, moment.mean, target / number, output_mean / number, energy / number)
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


def _parts(layer: Layer, inputs: Tensor, outputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a call into its columns (groups x n x positions) and outputs without bias (groups x rows x ...)."""
    if isinstance(layer, nn.Linear):
        inputs, outputs = inputs.reshape(-1, inputs.shape[-1]), outputs.reshape(-1, outputs.shape[-1])
    elif inputs.dim() == len(layer.kernel_size) + 1:
        inputs, outputs = inputs[None], outputs[None]
    # what a sample's columns hold: its positions times n of all groups
    positions = outputs[0].numel() // outputs.shape[1]
    held = positions * layer.weight[0].numel() * (1 if isinstance(layer, nn.Linear) else layer.groups)
    size = max(1, _ELEMENTS // max(1, held))
    for given, wanted in zip(inputs.split(size), outputs.split(size), strict=True):
        columns = layer_columns(layer, given)
        columns = columns if columns.dtype == torch.float64 else columns.float()
        flat = wanted.to(columns.dtype).transpose(0, 1).flatten(1)
        if layer.bias is not None:
            flat = flat - layer.bias.detach().to(flat.dtype).unsqueeze(-1)
        yield columns, flat.unflatten(0, (len(columns), -1))
