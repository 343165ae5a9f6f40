"""The error of a layer's outputs when they are projected on their principal components, over the rank."""

from collections.abc import Collection
from weakref import WeakKeyDictionary

import numpy as np

from pruners.calibration.calibration import Calibration
from pruners.calibration.layer_calls import layer_calls
from pruners.lowrank.curves.output import LayerData
from pruners.lowrank.fitting.principal import PrincipalComponents
from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.shapes import compressible_modules
from pruners.lowrank.spectra.frontier import Frontier, frontier_of
from pruners.lowrank.spectra.network_spectra import Spectra


class PrincipalErrors:
    """One layer's ranks, in one subspace, with the relative error of its outputs; all are exact."""

    def __init__(self, components: PrincipalComponents) -> None:
        self._errors = np.append(components.errors(), 0.0)  # at the end that of the dense layer, rank 0

    def frontier(self, candidates: Candidates) -> Frontier:
        """Return the options that no other beats in both weights and error."""
        return frontier_of(candidates, self._errors[candidates.ranks - 1])

    def resolve(self, cut: Cut) -> None:
        """Do nothing: every error is exact."""

    def error(self, cut: Cut) -> float:
        """Return the error of one option."""
        return float(self._errors[cut.rank - 1])


def principal_components(
    calibration: Calibration, spectra: Spectra, layers: Collection[str]
) -> dict[str, PrincipalComponents]:
    """Return the principal components of layers' outputs on the images, kept with the calibration.

    Of all layers that are missing from one pass. Raises PrunerError for a layer that the network does not
    call.
    """
    kept = _kept.setdefault(calibration, {})
    missing = [name for name in layers if name not in kept]
    if missing:
        matrices = {name: spectra.layers[name].matrix for name in missing}  # refuses what is not finite
        moments, network = calibration.moments(missing), calibration.network()
        modules = compressible_modules(network)
        calls = layer_calls(network, {name: modules[name] for name in missing}, calibration.batches[0])
        for name, matrix in matrices.items():
            data = LayerData(moments[name], calls[name].offset_free, None, calibration.images)
            kept[name] = PrincipalComponents.of(matrix, data.second())
    return {name: kept[name] for name in layers}


_kept: WeakKeyDictionary[Calibration, dict[str, PrincipalComponents]] = WeakKeyDictionary()
