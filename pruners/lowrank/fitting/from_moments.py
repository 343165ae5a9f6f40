"""Layers fitted, and BatchNorm's statistics set, by moments alone: the compressed network is not run."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruners.calibration.calibration import Calibration
from pruners.calibration.layer_calls import LayerCall
from pruners.calibration.refit import Fitted, Refit
from pruners.lowrank.fitting.factor_tensors import unfitted_tensors
from pruners.lowrank.fitting.layer_factors import LayerFactors
from pruners.lowrank.fitting.layerwise import fitted_layers, fitted_tensors
from pruners.lowrank.fitting.options import FitOptions
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.network.layer_names import named_modules


def fit_from_moments(
    network: nn.Module,
    spectra: Spectra,
    cuts: Mapping[str, Cut],
    calibration: Calibration,
    options: FitOptions,
) -> Fitted:
    """Fit every layer as `fit_layers` does, and give BatchNorm the statistics that the fit leaves.

    Least squares shrink a layer's outputs: of the variance w S w^T of each only w' S w'^T is left, w and w'
    the rows of the dense and of the fitted weight, S the moment of the inputs about their means. The
    BatchNorm that follows has its variance multiplied by their quotient, and its mean shifted, as if the
    inputs were the dense network's. It is let alone where other outputs go into it too, or the layer's
    elsewhere. Nothing judges whether the network gains.
    """
    names = {module: name for name, module in named_modules(network)}
    tensors: dict[str, Tensor] = {}
    errors: dict[str, float] = {}
    for name, call, factors in fitted_layers(network, spectra, cuts, calibration, options):
        tensors |= fitted_tensors(spectra.layers[name], factors, call.bias)
        for norm in call.norms:
            tensors |= _statistics(names[norm], norm, call, factors)
        errors[name] = factors.output_error
    tensors |= unfitted_tensors(spectra, {name: cut for name, cut in cuts.items() if name not in errors})
    images = calibration.images
    refit = Refit(options.refit, options.ridge, images, None, None, True, errors, options.encoders)
    return Fitted(tensors, refit)


def _statistics(name: str, norm: _BatchNorm, call: LayerCall, factors: LayerFactors) -> dict[str, Tensor]:
    """Return the running mean and variance of a BatchNorm that follows a layer, by their names."""
    left = factors.variance_left
    assert left is not None and norm.running_mean is not None and norm.running_var is not None
    lacking = factors.shift.flatten() if call.bias is None else torch.zeros(())
    mean, variance = (t.detach().to("cpu", torch.float64) for t in (norm.running_mean, norm.running_var))
    return {
        f"{name}.running_mean": (mean - lacking).to(norm.running_mean.dtype),
        f"{name}.running_var": (variance * left.flatten()).to(norm.running_var.dtype),
    }
