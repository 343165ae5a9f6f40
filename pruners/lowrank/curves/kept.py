"""The curves of a network on its calibration images, kept beside these so that a further budget is quick."""

from collections.abc import Collection
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from pruners.calibration.calibration import Calibration
from pruners.lowrank.curves.measured import SIZES, WEIGHT_ERROR, MeasuredCurve, MeasuredErrors, measure_curve
from pruners.lowrank.curves.output import OutputErrors
from pruners.lowrank.spectra.network_spectra import Spectra


class NetworkCurves:
    """What is known about the errors of a network's layers on one set of calibration images."""

    def __init__(self) -> None:
        self.measured: dict[str, MeasuredCurve] = {}
        self._output: dict[tuple[str, str, float], OutputErrors] = {}

    def output_errors(
        self, calibration: Calibration, spectra: Spectra, layer: str, encoders: str, ridge: float
    ) -> OutputErrors:
        """Return what is known about the errors of a layer's outputs after the refit."""
        key = layer, encoders, ridge
        if key not in self._output:
            moment = calibration.moments([layer])[layer]
            self._output[key] = OutputErrors(spectra.layers[layer], moment, encoders, ridge)
        return self._output[key]

    def measure(self, calibration: Calibration, spectra: Spectra, layers: Collection[str]) -> None:
        """Measure the curves of those layers that nobody has measured yet.

        The calibration may share the work with others who have the same network and images, so that it is
        best to ask for all layers at once.
        """
        missing = [layer for layer in layers if layer not in self.measured]
        keys = {layer: f"low rank, {SIZES} sizes of {layer}" for layer in missing}
        found = calibration.computed(
            {keys[layer]: partial(_described, calibration, spectra, layer) for layer in missing}
        )
        for layer in missing:
            self.measured[layer] = MeasuredCurve.restored(found[keys[layer]])

    def measured_errors(self, calibration: Calibration, spectra: Spectra, layer: str) -> MeasuredErrors:
        """Return what each option of a layer adds to the divergence, measured first where nobody has yet."""
        self.measure(calibration, spectra, [layer])
        return MeasuredErrors(spectra.search(layer, WEIGHT_ERROR), self.measured[layer])


def _described(calibration: Calibration, spectra: Spectra, layer: str) -> dict[str, Any]:
    return measure_curve(calibration, spectra, layer).described()


def curves_of(calibration: Calibration) -> NetworkCurves:
    """Return the curves kept with a calibration, none at first; they go with it.

    Curves measured elsewhere are handed in by putting them into ``measured``.
    """
    return _kept.setdefault(calibration, NetworkCurves())


_kept: WeakKeyDictionary[Calibration, NetworkCurves] = WeakKeyDictionary()
