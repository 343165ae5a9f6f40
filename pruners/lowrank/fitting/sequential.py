"""Layer after layer fitted, each from the inputs that the compressed layers before it leave it."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from pruners.calibration.calibration import Calibration
from pruners.calibration.layer_calls import LayerCall, layer_calls
from pruners.calibration.moments.input_moments import call_moments
from pruners.calibration.moments.moment import check_finite_fit
from pruners.errors import PrunerError
from pruners.lowrank.decompose import decomposed_copy, weight_names
from pruners.lowrank.fitting.encoded_moments import encoded_moments
from pruners.lowrank.fitting.encoders import weight_encoders
from pruners.lowrank.fitting.factor_tensors import factor_tensors, unfitted_tensors
from pruners.lowrank.fitting.layer_factors import LayerFactors, balanced, fitted_factors
from pruners.lowrank.fitting.layerwise import fit_layers, fitted_tensors
from pruners.lowrank.fitting.options import FitOptions
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.shapes import compressible_modules
from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.network.batchnorm import batchnorm_statistics, estimating_batchnorm
from pruners.network.call_stream import streaming
from pruners.network.counting.multiply_adds import as_defined
from pruners.network.forward_pass import COMPRESSED_REFUSED, naming_refusals
from pruners.network.inputs import forward_on_copy, layer_input
from pruners.network.layer_names import named_modules
from pruners.network.state import overwrite_state


def fit_in_sequence(
    network: nn.Module,
    spectra: Spectra,
    cuts: Mapping[str, Cut],
    calibration: Calibration,
    options: FitOptions,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Fit every layer that the network calls, in the order of the calls, to the dense layer's outputs.

    Its inputs are those of the compressed network, whose earlier layers are fitted and whose BatchNorm is
    re-estimated already, so a layer also makes up for what was lost before it (asymmetric reconstruction:
    Zhang et al., TPAMI 2016, arXiv 1505.06798, section 3.3). Returns what `fit_layers` does, and BatchNorm's
    statistics. The ridge is a share of the mean square of the encoded inputs.

    One pass of either network, in step, over all images as one batch: the compressed one waits before each
    layer until that has been fitted. Memory is both networks' for such a batch. A layer that is called
    several times in a pass is fitted as `fit_layers` does. Raises PrunerError where the images make no single
    batch.
    """
    modules = compressible_modules(network)
    calls = layer_calls(network, {name: modules[name] for name in cuts}, calibration.batches[0])
    several = {name: cuts[name] for name, call in calls.items() if call.times > 1}
    tensors, errors = fit_layers(network, spectra, several, calibration, options)
    shapes = {name: spectra.shape.layers[name] for name in cuts}
    small = decomposed_copy(network, cuts, shapes, unfitted_tensors(spectra, cuts) | tensors)
    pairs = dict(named_modules(small))
    once = {name: modules[name] for name, call in calls.items() if call.times == 1}
    batch = calibration.joined()
    with as_defined(), streaming(network, once, batch) as dense, ExitStack() as hooks:

        def fitting(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
            @torch.inference_mode(False)  # whatever the network does
            @torch.no_grad()
            def fit(pair: nn.Module, inputs: tuple[Any, ...], by_name: dict[str, Any]) -> None:
                given, wanted = layer_input(inputs, by_name), dense.next_output(name)
                layer, call = spectra.layers[name], calls[name]
                factors = _fit(layer, once[name], pair, cuts[name], call, options, given, wanted)
                fitted = fitted_tensors(layer, factors, call.bias)
                overwrite_state(small, fitted)
                tensors.update(fitted)
                errors[name] = factors.output_error

            return fit

        for name in once:
            hooks.callback(pairs[name].register_forward_pre_hook(fitting(name), with_kwargs=True).remove)
        with estimating_batchnorm(small), naming_refusals(small, COMPRESSED_REFUSED):
            forward_on_copy(small, batch)
    return tensors | batchnorm_statistics(small), errors


def _fit(
    layer: LayerSpectra,
    dense: nn.Conv2d | nn.Linear,
    pair: nn.Module,
    cut: Cut,
    call: LayerCall,
    options: FitOptions,
    inputs: Tensor,
    output: Tensor,
) -> LayerFactors:
    """Fit the factors of the pair that stands for a dense layer to this output of it, from these inputs."""
    if options.encoders != "weight":  # these depend on the inputs themselves
        written_out = call_moments(dense, inputs, output)
        if written_out is None:
            raise PrunerError(f"Layer {layer.name!r}: the calibration images leave it no inputs.")
        written_out.check_finite(layer.name)
        return fitted_factors(layer.matrix, cut, written_out, options, call)
    encoders = weight_encoders(layer.matrix, cut.rank, cut.num_subspaces)
    left = layer.matrix.new_zeros(*encoders.shape[:2], layer.shape.matrix[0], cut.rank)
    first = factor_tensors(layer, left, encoders)[weight_names(layer.name)[0]]
    half = pair.get_submodule("0")
    half.get_parameter("weight").data.copy_(first)
    moments = encoded_moments(half, inputs, output, dense.bias, layer.shape.groups)
    check_finite_fit(layer.name, moments.products, moments.targets)
    if call.offset_free:
        moments = moments.centred()
    decoder = moments.decoder(layer.matrix, encoders, options.ridge)
    return LayerFactors(*balanced(decoder, encoders), moments.shift(decoder), moments.error(decoder))
