"""The kept weights of a whole network fitted to calibration images, used where the network gains by it."""

from collections import Counter
from collections.abc import Callable

import torch
from torch import nn

from pruners.calibration.calibration import Calibration
from pruners.calibration.layer_calls import layer_calls
from pruners.calibration.moments.columns import Layer, has_columns
from pruners.calibration.refit import Refit
from pruners.errors import PrunerError
from pruners.network.layer_names import named_modules, named_parameters
from pruners.sparse.fitting.layer_fit import LayerFit, fit_to_own_outputs
from pruners.sparse.fitting.sequential import fit_in_sequence
from pruners.sparse.mask import Mask


def refitted(mask: Mask, calibration: Calibration, refit: str, ridge: float) -> Mask:
    """Return the mask with the network that it leaves, its kept weights fitted to the dense outputs.

    Of every layer that lost weights the rest is fitted by least squares, see `fitted_weights`, to the layer's
    outputs in the dense network: from its inputs there (refit "layer"), or from those that the masked and
    fitted layers before it leave it ("sequential", see `fit_in_sequence`; a layer that is called several
    times in a pass is fitted as with "layer"). A bias takes what the outputs lack on average; where a layer
    has one, or goes into BatchNorm, the fit is hence about the means. BatchNorm's statistics are estimated on
    the same images, with and without the fit, which is kept where the outputs' divergence is less with it
    (``refit.kept``). Left as they are: layers that are not called (attention multiplies by their weights
    itself), those with a forward of their own (which may multiply by another weight, or pad), and weights
    that something else uses too.

    The network is not changed. Same inputs, same bits.
    """
    network = calibration.model()
    if network is None:
        raise PrunerError("The network of this calibration is gone: keep a reference to it.")
    without, small = mask.apply(network), mask.apply(network)
    errors: dict[str, float] = {}
    layers = _own_layers(network, mask)
    kept = {name: mask.masks[mask.prunable[name].parameter] for name in layers}
    calls = layer_calls(network, layers, calibration.batches[0])
    put = _putting(small, {name for name, call in calls.items() if call.bias is not None}, errors)
    once = {n: layers[n] for n, call in calls.items() if refit == "sequential" and call.times == 1}
    for name, moment in calibration.moments([name for name in calls if name not in once]).items():
        put(name, fit_to_own_outputs(layers[name], kept[name], moment, ridge, calls[name].offset_free))
    if once:
        fit_in_sequence(network, small, once, calls, kept, calibration, ridge, put)
    divergence, before = (calibration.divergence_recalibrated(each) for each in (small, without))
    better = divergence < before
    told = Refit(refit, ridge, calibration.images, divergence, before, better, errors)
    return mask.capture(small if better else without, refit=told)


def _own_layers(network: nn.Module, mask: Mask) -> dict[str, Layer]:
    """Return the layers that lost weights, multiply by these as torch's do, and share them with nothing."""
    parameters = named_parameters(network)
    holders = Counter(id(parameter) for parameter in parameters.values())
    modules = dict(named_modules(network))
    return {
        name: module
        for name, layer in mask.prunable.items()
        if has_columns(module := modules.get(name))
        and holders[id(parameters[layer.parameter])] == 1
        and not bool(mask.masks[layer.parameter].all())
    }


def _putting(small: nn.Module, biased: set[str], errors: dict[str, float]) -> Callable[[str, LayerFit], None]:
    """Return what puts a layer's fit into ``small``, and its error into ``errors``."""
    modules = dict(named_modules(small))

    def put(name: str, fit: LayerFit) -> None:
        module = modules[name]
        assert isinstance(module, Layer)
        with torch.no_grad():
            module.weight.copy_(fit.weight)
            if name in biased and module.bias is not None:
                module.bias.copy_(module.bias.double() + fit.shift.to(module.bias.device))
        errors[name] = fit.output_error

    return put
