"""The kept weights of a whole network fitted to calibration images, used where the network gains by it."""

from collections import Counter

import torch
from torch import Tensor, nn

from pruners.calibration.calibration import Calibration
from pruners.calibration.columns import Layer
from pruners.calibration.layer_calls import layer_calls
from pruners.calibration.moment import Moment
from pruners.calibration.refit import Refit
from pruners.errors import PrunerError
from pruners.network.layer_names import named_modules, named_parameters
from pruners.sparse.fitting.kept_weights import fitted_weights
from pruners.sparse.mask import Mask


def refitted(mask: Mask, calibration: Calibration, ridge: float) -> Mask:
    """Return the mask with the network that it leaves, its kept weights fitted to the dense outputs.

    Of every layer that lost weights the rest is fitted to the layer's own outputs in the dense network by
    least squares, see `fitted_weights`. A bias takes what the outputs lack on average; where a layer has one,
    or goes into BatchNorm, the fit is hence about the means. BatchNorm's statistics are estimated on the same
    images, with and without the fit, which is kept where the outputs' divergence is less with it
    (``refit.kept``). Left as they are: layers that are not called (attention multiplies by their weights
    itself), and weights that something else uses too.

    The network is not changed. Same inputs, same bits.
    """
    network = calibration.model()
    if network is None:
        raise PrunerError("The network of this calibration is gone: keep a reference to it.")
    without, small, errors = mask.apply(network), mask.apply(network), {}
    layers = _own_layers(network, mask)
    calls = layer_calls(network, layers, calibration.batches[0])
    modules = dict(named_modules(small))
    for name, moment in calibration.moments(calls).items():
        module, call = modules[name], calls[name]
        assert isinstance(module, Layer)
        kept = mask.masks[mask.prunable[name].parameter]
        weight, shift, errors[name] = _fitted(layers[name], kept, moment, ridge, call.offset_free)
        with torch.no_grad():
            module.weight.copy_(weight)
            if call.bias is not None and module.bias is not None:
                module.bias.copy_(module.bias.double() + shift.to(module.bias.device))
    divergence, before = (calibration.divergence_recalibrated(each) for each in (small, without))
    better = divergence < before
    told = Refit("layer", ridge, calibration.images, divergence, before, better, errors)
    return mask.capture(small if better else without, refit=told)


def _own_layers(network: nn.Module, mask: Mask) -> dict[str, Layer]:
    """Return the layers that lost weights and whose weight nothing else uses."""
    holders = Counter(id(parameter) for parameter in named_parameters(network).values())
    modules, parameters = dict(named_modules(network)), named_parameters(network)
    return {
        name: module
        for name, layer in mask.prunable.items()
        if isinstance(module := modules.get(name), Layer)
        and holders[id(parameters[layer.parameter])] == 1
        and not bool(mask.masks[layer.parameter].all())
    }


def _fitted(
    layer: Layer, kept: Tensor, moment: Moment, ridge: float, about_means: bool
) -> tuple[Tensor, Tensor, float]:
    """Fit one layer, group by group.

    Returns its weight, what its outputs then lack on average, and the relative error that remains.
    """
    groups = len(moment.second)
    matrices = layer.weight.detach().to("cpu", torch.float64).reshape(groups, -1, moment.second.shape[-1])
    second = moment.second
    if about_means:
        second = second - moment.mean.unsqueeze(-1) * moment.mean.unsqueeze(-2)
    parts = zip(matrices, kept.reshape(matrices.shape), second, strict=True)
    weights = torch.stack([fitted_weights(*part, ridge) for part in parts])
    lost = matrices - weights
    energy = float(((matrices @ second) * matrices).sum())
    error = (float(((lost @ second) * lost).sum()) / energy) ** 0.5 if energy > 0 else 0.0
    shift = (lost @ moment.mean.unsqueeze(-1)).flatten()
    return weights.reshape(layer.weight.shape), shift, error
