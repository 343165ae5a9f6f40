"""All factors of a network fitted to calibration images, kept where the network gains by it."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruners.calibration.calibration import Calibration
from pruners.calibration.refit import Fitted, Refit
from pruners.errors import PrunerError
from pruners.lowrank.decompose import decomposed_copy
from pruners.lowrank.fitting.factor_tensors import unfitted_tensors
from pruners.lowrank.fitting.layerwise import fit_layers
from pruners.lowrank.fitting.options import FitOptions
from pruners.lowrank.fitting.sequential import fit_in_sequence
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.network.layer_names import named_modules

Cuts = Mapping[str, tuple[int, int]]
"""Rank and num_subspaces of each decomposed layer."""


def fit_network(spectra: Spectra, cuts: Cuts, calibration: Calibration, options: FitOptions) -> Fitted:
    """Fit the factors of a network's decomposed layers to its outputs on calibration images.

    BatchNorm is re-estimated on the same images, with and without the fit, and the fit is kept where the
    outputs' divergence is less with it. The network is not changed. Same inputs, same bits.
    """
    network = spectra.model()
    if network is None:
        raise PrunerError("The network of these spectra is gone: keep a reference to it.")
    own = unfitted_tensors(spectra, cuts)
    fit = fit_in_sequence if options.refit == "sequential" else fit_layers
    fitted, errors = fit(network, spectra, cuts, calibration, options)
    candidates = [_finished(network, spectra, cuts, calibration, own | t) for t in (fitted, {})]
    (tensors, divergence), (without, divergence_without) = candidates
    kept = divergence < divergence_without
    refit = Refit(
        options.refit,
        options.ridge,
        calibration.images,
        divergence,
        divergence_without,
        kept,
        errors,
        options.encoders,
    )
    return Fitted(tensors if kept else without, refit)


def _finished(
    network: nn.Module, spectra: Spectra, cuts: Cuts, calibration: Calibration, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], float]:
    """Re-estimate BatchNorm below these factors: return them with its statistics, and the divergence."""
    small = small_network(network, spectra, cuts, tensors)
    divergence = calibration.divergence_recalibrated(small)
    return {**tensors, **_statistics(small)}, divergence


def small_network(
    network: nn.Module, spectra: Spectra, cuts: Cuts, tensors: Mapping[str, Tensor]
) -> nn.Module:
    """Build the decomposed network with these tensors."""
    subspaces = {name: num_subspaces for name, (_, num_subspaces) in cuts.items()}
    return decomposed_copy(network, subspaces, {name: spectra.shape.layers[name] for name in cuts}, tensors)


def _statistics(small: nn.Module) -> dict[str, Tensor]:
    """Copy BatchNorm's running statistics, by their names."""
    return {
        f"{name}.{own}" if name else own: buffer.to("cpu", copy=True)
        for name, module in named_modules(small)
        if isinstance(module, _BatchNorm) and module.track_running_stats
        for own, buffer in module._buffers.items()
        if buffer is not None
    }
