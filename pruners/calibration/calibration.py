"""Calibration images and what they tell about one network, computed once and kept beside it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from pruners.calibration.batches import batches_digest, calibration_batches, same_batches
from pruners.calibration.divergence import OutputDistance
from pruners.calibration.moments.columns import Layer
from pruners.calibration.moments.gradient_moments import both_moments, gradient_moments
from pruners.calibration.moments.input_moments import input_moments
from pruners.calibration.moments.moment import FitMoments, Moment
from pruners.errors import PrunerError, UnknownLayer, nearest
from pruners.network.batchnorm import recalibrate_batchnorm
from pruners.network.forward_pass import REFUSED, evaluating, naming_refusals
from pruners.network.inputs import Inputs, batch_size, forward_on_copy, join_inputs
from pruners.network.layer_names import (
    check_module,
    named_buffers,
    named_modules,
    named_parameters,
)
from pruners.network.readiness import check_has_values


class Calibration:
    """Calibration images with one network: its layers' moments, and how far others are from it.

    ``data`` is one tensor or dictionary of inputs, or an iterable of batches, each inputs or a pair (inputs,
    labels); labels are ignored. ``batches`` are copies of the inputs on the network's device, ``images``
    their number. Everything is computed in eval mode when it is asked for first. Raises PrunerError for data
    without an image and a network without values.

    All that is dear goes through `computed` and the methods that end in ``_of_layers``: a subclass may take
    from elsewhere what was computed before, or leave a part of it to others.
    """

    def __init__(self, model: nn.Module, data: Inputs | Iterable[Any]) -> None:
        check_module(model)
        check_has_values(model)
        self.model = ref(model)
        self.batches = calibration_batches(data, _device(model))
        self.images = sum(batch_size(batch) for batch in self.batches)
        self._state = {name: tensor.detach().clone() for name, tensor in _state(model).items()}
        self._moments: dict[str, Moment] = {}
        self._fit_moments: dict[str, FitMoments] = {}
        self._gradient_moments: dict[int, dict[str, Moment]] = {}
        self._computed: dict[str, dict[str, Any]] = {}
        self._dense_outputs: list[Any] | None = None
        self._first: dict[int, Calibration] = {}

    @cached_property
    def digest(self) -> str:
        """Hash the images, their dtype and how they are cut into batches: 64 hexadecimal digits."""
        return batches_digest(self.batches)

    @cached_property
    def network_digest(self) -> str:
        """Hash the network's parameters and buffers, their names and dtypes: 64 hexadecimal digits."""
        return batches_digest([self._state])

    def computed(self, wanted: Mapping[str, Callable[[], dict[str, Any]]]) -> dict[str, dict[str, Any]]:
        """Return what functions of network and images give, each called once for its key.

        A key names all that the answer depends on besides network and images; answers are JSON-able.
        """
        for key, compute in wanted.items():
            if key not in self._computed:
                self._computed[key] = compute()
        return {key: self._computed[key] for key in wanted}

    def moments_of_layers(self, layers: Mapping[str, Layer]) -> dict[str, Moment]:
        """Compute the moments of those of ``layers`` that the network calls, in one pass over the images."""
        return input_moments(self.network(), layers, self.batches)

    def gradient_moments_of_layers(self, layers: Mapping[str, Layer], seed: int) -> dict[str, Moment]:
        """Compute the moments of the gradients at the outputs of ``layers``, in one pass there and back."""
        return gradient_moments(self.network(), layers, self.batches, seed)

    def both_moments_of_layers(
        self, layers: Mapping[str, Layer], seed: int
    ) -> tuple[dict[str, Moment], dict[str, Moment]] | None:
        """Compute both kinds in one pass, or return None where each needs its own."""
        return both_moments(self.network(), layers, self.batches, seed)

    def moments(self, names: Collection[str]) -> dict[str, Moment]:
        """Return the input moments of the named Conv1d, 2d, 3d and Linear layers.

        All that are not known yet come from one pass over the images. Raises UnknownLayer for a name that is
        no such layer, and PrunerError for a layer that the network does not call, or whose inputs are not
        finite.
        """
        missing = self._layers([name for name in names if name not in self._moments])
        if missing:
            self._moments |= self.moments_of_layers(missing)
        return _known(self._moments, names)

    def fit_moments(self, name: str, matrix: Tensor) -> FitMoments:
        """Return the moments of a layer's inputs with its own outputs; ``matrix`` is its folded weight.

        Kept where they are smaller than those of the inputs. Raises what `moments` does.
        """
        if name in self._fit_moments:
            return self._fit_moments[name]
        found = FitMoments.of_dense_inputs(matrix, self.moments([name])[name])
        if found.target.numel() <= found.second.numel():
            self._fit_moments[name] = found
        return found

    def gradient_moments(self, names: Collection[str], seed: int) -> dict[str, Moment]:
        """Return the moments of the loss's gradients at the outputs of the named layers.

        Labels are drawn from the network's own softmax, from ``seed`` on: see
        `pruners.calibration.moments.gradient_moments`. Those not known yet come from one pass there and back.
        Raises what `moments` does, and PrunerError for a network that gives no class scores.
        """
        kept = self._gradient_moments.setdefault(seed, {})
        missing = self._layers([name for name in names if name not in kept])
        if missing:
            kept |= self.gradient_moments_of_layers(missing, seed)
        return _known(kept, names)

    def both_moments(self, names: Collection[str], seed: int) -> tuple[dict[str, Moment], dict[str, Moment]]:
        """Return `moments` and `gradient_moments`, from one pass where neither is known yet."""
        gradients = self._gradient_moments.setdefault(seed, {})
        missing = self._layers([name for name in names if name not in self._moments.keys() | gradients])
        found = self.both_moments_of_layers(missing, seed) if missing else None
        if found is not None:
            self._moments |= found[0]
            gradients |= found[1]
        return self.moments(names), self.gradient_moments(names, seed)

    def divergence(self, small: nn.Module) -> float:
        """Compare a network's outputs with the dense one's on all images, both in eval mode.

        0 for equal outputs, see `OutputDistance`. The dense outputs are computed once. ``small`` is on the
        same device. Raises PrunerError where it cannot be run, or its outputs have another form.
        """
        distance = OutputDistance()
        if self._dense_outputs is None:
            self._dense_outputs = list(self._outputs(self.network()))
        for dense, compressed in zip(self._dense_outputs, self._outputs(small), strict=True):
            distance.add(dense, compressed)
        return distance.value

    def is_of(self, model: nn.Module) -> bool:
        """Tell whether this is the network's own, and its weights and buffers are what they were."""
        state = _state(model)
        return (
            self.model() is model
            and state.keys() == self._state.keys()
            and all(_same(tensor, self._state[name]) for name, tensor in state.items())
        )

    def divergence_recalibrated(self, small: nn.Module) -> float:
        """Estimate BatchNorm's statistics of ``small`` on all images, in place, and return `divergence`."""
        recalibrate_batchnorm(small, self.batches)
        return self.divergence(small)

    def first(self, images: int) -> "Calibration":
        """Return a calibration of the first batches alone, as many as hold ``images`` or more; it is kept."""
        number = seen = 0
        while seen < min(images, self.images):
            seen += batch_size(self.batches[number])
            number += 1
        if number == len(self.batches):
            return self
        if number not in self._first:
            self._first[number] = Calibration(self.network(), self.batches[:number])
        return self._first[number]

    def joined(self) -> Inputs:
        """Return all images as one batch. Raises PrunerError where they are not of one shape."""
        try:
            joined: Inputs = join_inputs(self.batches)
        except (PrunerError, RuntimeError) as error:
            raise PrunerError(
                "refit 'sequential' runs all calibration images as one batch, and these are not of one "
                "shape: give refit='layer'."
            ) from error
        return joined

    def same_as(self, other: "Calibration") -> bool:
        """Tell whether networks and images have the very same values."""
        state, others = self._state, other._state
        return (
            state.keys() == others.keys()
            and all(_same(tensor, others[name]) for name, tensor in state.items())
            and same_batches(self.batches, other.batches)
        )

    def _layers(self, names: Collection[str]) -> dict[str, Layer]:
        layers = {
            name: module
            for name, module in named_modules(self.network(), remove_duplicate=False)
            if isinstance(module, Layer)
        }
        for name in names:
            if name not in layers:
                raise UnknownLayer(
                    f"The network has no convolution or Linear {name!r}{nearest(name, layers)}"
                )
        return {name: layers[name] for name in names}

    def network(self) -> nn.Module:
        """Return the network. Raises PrunerError where it is gone: only its user holds on to it."""
        network = self.model()
        if network is None:
            raise PrunerError("The network of this calibration is gone: keep a reference to it.")
        return network

    def _outputs(self, network: nn.Module) -> Iterator[Any]:
        for batch in self.batches:
            with (
                evaluating(network),
                naming_refusals(network, REFUSED),
            ):
                outputs = forward_on_copy(network, batch)
            yield outputs


def _known(moments: Mapping[str, Moment], names: Collection[str]) -> dict[str, Moment]:
    if not_called := [name for name in names if name not in moments]:
        *others, last = (repr(name) for name in not_called)
        layers, them = (
            (f"Layers {', '.join(others)} and {last} are", "them") if others else (f"Layer {last} is", "it")
        )
        raise PrunerError(f"{layers} not called on the calibration images: exclude {them}.")
    return {name: moments[name] for name in names}


def calibration_of(model: nn.Module, data: Calibration | Inputs | Iterable[Any]) -> Calibration:
    """Return the network's kept calibration, or a new one where weights, buffers or images have changed.

    A `Calibration` given as data is kept from then on where it is the network's own still; of another its
    images count.
    """
    if isinstance(data, Calibration):
        if data.is_of(model):
            _kept[model] = data
            return data
        data = data.batches
    new, kept = Calibration(model, data), _kept.get(model)
    if kept is not None and kept.same_as(new):
        return kept
    _kept[model] = new
    return new


def calibration_kept(model: nn.Module) -> Calibration | None:
    """Return the calibration that is kept for a network, or None; it goes with the network."""
    return _kept.get(model)


def _device(model: nn.Module) -> torch.device:
    return next((tensor.device for tensor in _state(model).values()), torch.device("cpu"))


def _state(model: nn.Module) -> dict[str, Tensor]:
    return named_parameters(model) | named_buffers(model)


def _same(tensor: Tensor, kept: Tensor) -> bool:
    return tensor.dtype == kept.dtype and tensor.device == kept.device and torch.equal(tensor, kept)


_kept: WeakKeyDictionary[nn.Module, Calibration] = WeakKeyDictionary()
