"""Each layer fitted by itself, from the dense network's inputs."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from pruners.calibration.calibration import Calibration
from pruners.calibration.layer_calls import LayerCall, layer_calls
from pruners.lowrank.decompose import pair_bias_name
from pruners.lowrank.fitting.factor_tensors import factor_tensors
from pruners.lowrank.fitting.layer_factors import LayerFactors, fitted_factors
from pruners.lowrank.fitting.options import FitOptions
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.shapes import compressible_modules
from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.network_spectra import Spectra


def fit_layers(
    network: nn.Module,
    spectra: Spectra,
    cuts: Mapping[str, Cut],
    calibration: Calibration,
    options: FitOptions,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Fit every layer that the network calls to its own outputs, from the dense network's inputs.

    Returns weights and biases by their names in the small network, and each layer's relative output error.
    One pass over the images for all layers whose moments are not known yet.
    """
    tensors: dict[str, Tensor] = {}
    errors: dict[str, float] = {}
    for name, call, factors in fitted_layers(network, spectra, cuts, calibration, options):
        tensors |= fitted_tensors(spectra.layers[name], factors, call.bias)
        errors[name] = factors.output_error
    return tensors, errors


def fitted_layers(
    network: nn.Module,
    spectra: Spectra,
    cuts: Mapping[str, Cut],
    calibration: Calibration,
    options: FitOptions,
) -> Iterator[tuple[str, LayerCall, LayerFactors]]:
    """Fit one layer after the other that the network calls, as `fit_layers` does."""
    modules = compressible_modules(network)
    calls = layer_calls(network, {name: modules[name] for name in cuts}, calibration.batches[0])
    calibration.moments(calls)  # all from one pass
    for name in calls:
        matrix = spectra.layers[name].matrix
        moments = calibration.fit_moments(name, matrix)
        yield name, calls[name], fitted_factors(matrix, cuts[name], moments, options, calls[name])


def fitted_tensors(layer: LayerSpectra, factors: LayerFactors, bias: Tensor | None) -> dict[str, Tensor]:
    """Return a layer's fitted weights, and its bias shifted where it has one, in their own dtype."""
    tensors = factor_tensors(layer, factors.left, factors.right)
    if bias is not None:
        shifted = bias.detach().to("cpu", torch.float64) + factors.shift.flatten()
        tensors[pair_bias_name(layer.name)] = shifted.to(bias.dtype)
    return tensors
