"""Layer after layer fitted, each from the inputs that the compressed layers before it leave it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from torch import Tensor, nn

from pruners.calibration.calibration import Calibration
from pruners.calibration.columns import layer_columns
from pruners.calibration.layer_calls import REFUSED, layer_calls
from pruners.lowrank.decompose import decomposed_copy
from pruners.lowrank.fitting.factor_tensors import unfitted_tensors
from pruners.lowrank.fitting.layer_factors import FitMoments, fitted_factors
from pruners.lowrank.fitting.layerwise import fitted_tensors
from pruners.lowrank.fitting.options import FitOptions
from pruners.lowrank.layers.shapes import compressible_modules
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.network.batchnorm import recalibrate_batchnorm
from pruners.network.counting.multiply_adds import as_defined
from pruners.network.forward_pass import evaluating, naming_refusals
from pruners.network.inputs import Inputs, forward
from pruners.network.layer_names import named_modules, unwrapped
from pruners.network.state import overwrite_state

_ELEMENTS = 2**24  # of columns that are there at once


def fit_in_sequence(
    network: nn.Module,
    spectra: Spectra,
    cuts: Mapping[str, tuple[int, int]],
    calibration: Calibration,
    options: FitOptions,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Fit every layer that the network calls, in the order of the calls, to the dense layer's outputs.

    Its inputs are those of the compressed network, whose earlier layers are fitted and whose BatchNorm is
    re-estimated already, so a layer also makes up for what was lost before it (asymmetric reconstruction:
    Zhang et al., TPAMI 2016, arXiv 1505.06798, section 3.3). Returns what `fit_layers` does.

    Each layer costs three passes over the images: one of the compressed network for BatchNorm, and one of
    each network as far as this layer. About 20 times the refit of each layer by itself for ResNet-20.
    """
    modules = compressible_modules(network)
    calls = layer_calls(network, {name: modules[name] for name in cuts}, calibration.batches[0])
    subspaces = {name: num_subspaces for name, (_, num_subspaces) in cuts.items()}
    shapes = {name: spectra.shape.layers[name] for name in cuts}
    small = decomposed_copy(network, subspaces, shapes, unfitted_tensors(spectra, cuts))
    decomposed = dict(named_modules(small))
    tensors: dict[str, Tensor] = {}
    errors: dict[str, float] = {}
    for name, call in calls.items():
        if tensors:
            recalibrate_batchnorm(small, calibration.batches)
        layer, dense = spectra.layers[name], modules[name]
        moments = _moments(network, dense, small, decomposed[name], call.times, calibration.batches)
        factors = fitted_factors(layer.matrix, *cuts[name], moments, options, call.offset_free)
        fitted = fitted_tensors(layer, factors, call.bias)
        overwrite_state(small, fitted)
        tensors |= fitted
        errors[name] = factors.output_error
    return tensors, errors


def _moments(
    network: nn.Module,
    dense: nn.Conv2d | nn.Linear,
    small: nn.Module,
    decomposed: nn.Module,
    times: int,
    batches: Sequence[Inputs],
) -> FitMoments:
    """Sum up a layer's columns in the compressed network with its outputs in the dense one."""
    sums: list[Tensor] = []
    count = 0
    for batch in batches:
        outputs = [output for _, output in _calls_of(network, dense, times, batch)]
        inputs = [given for given, _ in _calls_of(small, decomposed, times, batch)]
        for given, output in zip(inputs, outputs, strict=True):
            for columns, wanted in _parts(dense, given, output):
                parts = [columns @ columns.mT, columns.sum(-1), wanted @ columns.mT, wanted.sum(-1)]
                parts.append(wanted.square().sum())
                sums = [a + b for a, b in zip(sums, parts, strict=True)] if sums else parts
                count += columns.shape[-1]
    second, mean, target, output_mean, energy = (total.cpu() / count for total in sums)
    return FitMoments(second, mean, target, output_mean, float(energy))


def _parts(dense: nn.Conv2d | nn.Linear, given: Tensor, output: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a call into parts of its columns (groups x n x positions) and outputs without bias, in float64."""
    if isinstance(dense, nn.Linear):
        given, output = given.reshape(-1, given.shape[-1]), output.reshape(-1, output.shape[-1])
        widest = 1
    else:
        if given.dim() == 3:
            given, output = given[None], output[None]
        widest = dense.weight[0, 0].numel()
    size = max(1, _ELEMENTS * len(given) // max(1, given.numel() * widest))
    groups = 1 if isinstance(dense, nn.Linear) else dense.groups
    for some, wanted in zip(given.split(size), output.split(size), strict=True):
        flat = wanted.transpose(0, 1).flatten(1).double()
        if dense.bias is not None:
            flat = flat - dense.bias.detach().double().unsqueeze(-1)
        yield layer_columns(dense, some.double()), flat.unflatten(0, (groups, -1))


class _Reached(Exception):
    """The layer that was waited for has been called."""


def _calls_of(network: nn.Module, layer: nn.Module, times: int, batch: Inputs) -> list[tuple[Tensor, Tensor]]:
    """Run a network until a layer has been called ``times`` times; return its inputs and outputs."""
    calls: list[tuple[Tensor, Tensor]] = []

    def note(_layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append((inputs[0].clone(), output.clone()))  # either may be changed in place later
        if len(calls) == times:
            raise _Reached

    handle = layer.register_forward_hook(note)
    try:
        with evaluating(network), as_defined(), naming_refusals(network, REFUSED), suppress(_Reached):
            forward(unwrapped(network), batch)
    finally:
        handle.remove()
    return calls
