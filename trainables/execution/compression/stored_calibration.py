"""Calibration images whose dear results come from the store: computed once for all trials that share it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from torch import nn

from pruners.calibration.calibration import Calibration
from pruners.calibration.moments.columns import Layer
from pruners.calibration.moments.moment import Moment
from pruners.network.inputs import Inputs
from trainables.config import MEASURING
from trainables.places.place import Place, place_of
from trainables.store.computed import Computed
from trainables.store.disk import write_json

FORMAT = 3  # raised when the code computes otherwise from the same network and images

_INPUTS = "moments"


class StoredCalibration(Calibration):
    """Calibration images with one network, with a store; trials on other workers share the work.

    Entries are addressed by the network's own weights and ``architecture``, what else determines its outputs;
    by the images, and by what is computed. ``owner`` is the folder of the trial that asks.
    """

    def __init__(
        self, model: nn.Module, images: Inputs | Iterable[Any], store: Place, architecture: Any, owner: str
    ):
        super().__init__(model, images)
        self._store, self._architecture, self._owner = store, architecture, owner

    def moments_of_layers(self, layers: Mapping[str, Layer]) -> dict[str, Moment]:
        """Read the moments from the store; those that it lacks come from one pass that is made once."""
        return self._moments_once(_INPUTS, layers, super().moments_of_layers)

    def gradient_moments_of_layers(self, layers: Mapping[str, Layer], seed: int) -> dict[str, Moment]:
        """Read the moments of gradients from the store, as those of inputs."""
        compute = partial(super().gradient_moments_of_layers, seed=seed)
        return self._moments_once(_gradients(seed), layers, compute)

    def both_moments_of_layers(
        self, layers: Mapping[str, Layer], seed: int
    ) -> tuple[dict[str, Moment], dict[str, Moment]] | None:
        """Compute both kinds in one pass where the store has neither; else each is read, or has its own."""
        inputs, gradients = self._entry(_INPUTS), self._entry(_gradients(seed))
        if not (inputs.is_empty() and gradients.is_empty()):
            return None
        with inputs.held(), gradients.held():  # everybody who holds both takes them in this order
            if not (inputs.is_empty() and gradients.is_empty()):  # another has made them meanwhile
                return None
            found = super().both_moments_of_layers(layers, seed)
            if found is not None:
                _keep(inputs, found[0])
                _keep(gradients, found[1])
        return found

    def computed(self, wanted: Mapping[str, Callable[[], dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        """Return what each function gives, from the store or by calling it.

        Each is held alone while it is called. What another worker holds is left for later: several go through
        the same functions side by side, and none is called twice. Whoever waits for the trial can read in its
        folder how many are there.
        """
        left = [key for key in wanted if key not in self._computed]
        told = place_of(self._owner) / MEASURING
        told.parent.mkdir(parents=True, exist_ok=True)
        try:
            while left:
                write_json(told, {"measured": len(wanted) - len(left), "of": len(wanted)})
                key = next((key for key in left if not self._entry(key).is_held()), left[0])
                self._computed[key] = self._once(key, wanted[key])
                left.remove(key)
        finally:
            told.unlink(missing_ok=True)
        return {key: self._computed[key] for key in wanted}

    def _moments_once(
        self,
        what: str,
        layers: Mapping[str, Layer],
        compute: Callable[[Mapping[str, Layer]], dict[str, Moment]],
    ) -> dict[str, Moment]:
        entry = self._entry(what)
        found = _kept(entry, layers)
        if found.keys() == layers.keys():
            return found
        with entry.held():
            found |= _kept(entry, layers.keys() - found.keys())
            missing = {name: layer for name, layer in layers.items() if name not in found}
            computed = compute(missing) if missing else {}
            _keep(entry, computed)
        return found | computed

    def _once(self, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        entry = self._entry(key)
        if (kept := entry.data(key)) is not None:
            return kept
        with entry.held():
            if (kept := entry.data(key)) is None:  # else whoever held it before has computed it
                kept = compute()
                entry.keep_data(key, kept)
            return kept

    def _entry(self, what: str) -> Computed:
        spec = {
            "computed": what,
            "computed_format": FORMAT,
            "architecture": self._architecture,
            "network": self.network_digest,
            "images": self.digest,
        }
        return Computed(self._store, spec, self._owner)


def _gradients(seed: int) -> str:
    return f"gradient moments, seed {seed}"


def _keep(entry: Computed, moments: Mapping[str, Moment]) -> None:
    for name, moment in moments.items():
        entry.keep_tensors(name, moment.tensors())


def _kept(entry: Computed, names: Collection[str]) -> dict[str, Moment]:
    return {name: Moment.from_tensors(kept) for name in names if (kept := entry.tensors(name)) is not None}
