"""The errors of a network's layers on calibration images, kept beside these: a further budget is quick."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

from pruners.calibration.calibration import Calibration
from pruners.calibration.layer_calls import layer_calls
from pruners.lowrank.curves.measured import WEIGHT_ERROR, MeasuredCurve, MeasuredErrors, measure_curve
from pruners.lowrank.curves.output import LayerData, OutputErrors
from pruners.lowrank.layers.shapes import compressible_modules
from pruners.lowrank.spectra.network_spectra import Spectra

ERRORS_BY_DATA = ("output", "predicted", "measured")


@dataclass(frozen=True)
class ErrorKind:
    """Which error, one of `ERRORS_BY_DATA`, and what it depends on besides network and images."""

    error: str
    encoders: str
    ridge: float
    seed: int


def errors_by_data(
    calibration: Calibration, spectra: Spectra, layers: Collection[str], kind: ErrorKind
) -> dict[str, OutputErrors | MeasuredErrors]:
    """Return what is known about the errors of layers, kept with the calibration.

    What is dear is computed for all ``layers`` together: their moments in one pass over the images, measured
    curves by `Calibration.computed`. Raises PrunerError for a layer that the network does not call.
    """
    kept = _kept.setdefault(calibration, {})
    missing = [name for name in layers if (kind, name) not in kept]
    if missing:
        for name in missing:  # before the images run into a weight that is not finite
            spectra.layers[name].check()
        make = _measured if kind.error == "measured" else _of_outputs
        for name, errors in make(calibration, spectra, missing, kind).items():
            kept[kind, name] = errors
    return {name: kept[kind, name] for name in layers}


def _measured(
    calibration: Calibration, spectra: Spectra, layers: Collection[str], kind: ErrorKind
) -> dict[str, OutputErrors | MeasuredErrors]:
    def described(layer: str) -> dict[str, object]:
        return measure_curve(calibration, spectra, layer).described()

    keys = {name: f"measured curve of {name!r}" for name in layers}
    found = calibration.computed({keys[name]: partial(described, name) for name in layers})
    return {
        name: MeasuredErrors(spectra.search(name, WEIGHT_ERROR), MeasuredCurve.restored(found[key]))
        for name, key in keys.items()
    }


def _of_outputs(
    calibration: Calibration, spectra: Spectra, layers: Collection[str], kind: ErrorKind
) -> dict[str, OutputErrors | MeasuredErrors]:
    if kind.error == "predicted":
        moments, gradients = calibration.both_moments(layers, kind.seed)
    else:
        moments, gradients = calibration.moments(layers), {}
    network = calibration.network()
    modules = compressible_modules(network)
    calls = layer_calls(network, {name: modules[name] for name in layers}, calibration.batches[0])
    return {
        name: OutputErrors(
            spectra.layers[name],
            LayerData(moments[name], calls[name].offset_free, gradients.get(name), calibration.images),
            kind.encoders,
            kind.ridge,
        )
        for name in layers
    }


_kept: WeakKeyDictionary[Calibration, dict[tuple[ErrorKind, str], OutputErrors | MeasuredErrors]] = (
    WeakKeyDictionary()
)
