"""All factors of a network fitted to calibration images, kept where the network gains by it."""

from collections.abc import Mapping

from torch import Tensor, nn

from pruners.calibration.calibration import Calibration
from pruners.calibration.refit import Fitted, Refit
from pruners.errors import PrunerError
from pruners.lowrank.decompose import decomposed_copy
from pruners.lowrank.fitting.from_moments import fit_from_moments
from pruners.lowrank.fitting.layerwise import fit_layers
from pruners.lowrank.fitting.options import FitOptions
from pruners.lowrank.fitting.sequential import fit_in_sequence
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.network.batchnorm import batchnorm_statistics, recalibrate_batchnorm

Cuts = Mapping[str, Cut]
"""What each decomposed layer becomes."""

_JUDGING = 32  # images that say whether a fit is kept


def fit_network(
    spectra: Spectra,
    cuts: Cuts,
    calibration: Calibration,
    options: FitOptions,
    own: Mapping[str, Tensor],
) -> Fitted:
    """Fit the factors of a network's decomposed layers to its outputs on calibration images.

    ``own`` are the factors without it, the method's own, by their names in the small network.
    BatchNorm is re-estimated on the same images. The fit is kept where the outputs' divergence from the dense
    network's is less with it than with the method's own factors, BatchNorm re-estimated too; the first
    batches, of 32 images or more, judge; a refit by moments alone runs no network and is not judged, see
    `fit_from_moments`. The network is not changed. Same inputs, same bits.
    """
    network = spectra.model()
    if network is None:
        raise PrunerError("The network of these spectra is gone: keep a reference to it.")
    if options.refit == "moments":
        return fit_from_moments(network, spectra, cuts, calibration, options)
    if options.refit == "sequential":
        fitted, errors = fit_in_sequence(network, spectra, cuts, calibration, options)
        small = small_network(network, spectra, cuts, {**own, **fitted})
    else:
        fitted, errors = fit_layers(network, spectra, cuts, calibration, options)
        small = small_network(network, spectra, cuts, {**own, **fitted})
        recalibrate_batchnorm(small, calibration.batches)
    without = small_network(network, spectra, cuts, own)
    judge = calibration.first(_JUDGING)
    divergence, divergence_without = judge.divergence(small), judge.divergence_recalibrated(without)
    kept = divergence < divergence_without
    if not kept:
        recalibrate_batchnorm(without, calibration.batches)
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
    return Fitted(
        {**own, **(fitted if kept else {}), **batchnorm_statistics(small if kept else without)}, refit
    )


def small_network(
    network: nn.Module, spectra: Spectra, cuts: Cuts, tensors: Mapping[str, Tensor]
) -> nn.Module:
    """Build the decomposed network with these tensors."""
    return decomposed_copy(network, cuts, {name: spectra.shape.layers[name] for name in cuts}, tensors)
