"""The two factors of one layer, from its weight alone or fitted to its outputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pruners.calibration.layer_calls import LayerCall
from pruners.calibration.moments.moment import FitMoments
from pruners.lowrank.fitting.encoders import weight_encoders, whitened_encoders
from pruners.lowrank.fitting.joint_encoders import joint_encoders
from pruners.lowrank.fitting.options import FitOptions
from pruners.lowrank.fitting.output_fit import OutputFit
from pruners.lowrank.layers.cut import Cut


@dataclass(frozen=True, eq=False)
class LayerFactors:
    """Left factors, groups x k x rows x rank, and right ones, groups x k x rank x (columns / k), in float64.

    ``shift`` (groups x rows) is what the layer's outputs lack on average, ``output_error`` the relative error
    that remains when a bias has it. ``variance_left`` (groups x rows) is the variance that the layer's
    outputs have, divided by the dense layer's, both from the dense network's inputs; None where the factors
    were fitted to others.
    """

    left: Tensor
    right: Tensor
    shift: Tensor
    output_error: float
    variance_left: Tensor | None = None


def fitted_factors(
    matrix: Tensor, cut: Cut, moments: FitMoments, options: FitOptions, call: LayerCall
) -> LayerFactors:
    """Fit the factors of a folded weight (groups x rows x columns) to the dense layer's outputs.

    What a bias or BatchNorm takes care of afterwards (``shift``) is
    left out of the fit.
    """
    if call.offset_free:
        moments = moments.centred()
    fit = OutputFit(matrix, moments.second, options.ridge, moments.target, moments.energy)
    if options.encoders == "whitened":
        encoders = whitened_encoders(matrix, fit.second, cut.rank, cut.num_subspaces)
    elif options.encoders == "joint":
        scale = None if call.scale is None else call.scale.reshape(matrix.shape[:2])
        encoders = joint_encoders(fit, matrix, cut.rank, cut.num_subspaces, scale)
    else:
        encoders = weight_encoders(matrix, cut.rank, cut.num_subspaces)
    left, right = balanced(fit.decoder(encoders), encoders)
    replacement = (left @ right).transpose(1, 2).flatten(2)
    shift = moments.output_mean - (replacement @ moments.mean.unsqueeze(-1)).squeeze(-1)
    own, fitted = (moments.target * matrix).sum(-1), fit.fitted_energies(replacement)
    variance_left = torch.where(own > 0, fitted / own, 1.0)
    return LayerFactors(left, right, shift, fit.fitted_error(replacement), variance_left)


def balanced(decoder: Tensor, encoders: Tensor) -> tuple[Tensor, Tensor]:
    """Split the singular values of each slice evenly between its two factors, as unfitted ones have them."""
    left, values, turn = torch.linalg.svd(decoder, full_matrices=False)
    root = values.sqrt()
    return left * root.unsqueeze(-2), root.unsqueeze(-1) * (turn @ encoders)
