"""How long a network and each of its layers take for a batch, and substitutes beside them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.latency.tables import LatencyTables, Measured
from pruners.latency.timed_on import timed_on
from pruners.latency.timed_pass import TimedPass
from pruners.network.counting.multiply_adds import calling_layers
from pruners.network.forward_pass import batch_that_runs, evaluating, naming_refusals
from pruners.network.inputs import Inputs, forward_on_copy, inputs_device, layer_input
from pruners.network.layer_names import check_module
from pruners.network.readiness import check_has_values
from pruners.network.seeding import seeded
from pruners.network.timing import in_turn, shares_of_first, working_clock

_ROUNDS = 9
_WARMUP = 2
_SECONDS = 2.0


@dataclass(frozen=True)
class Substitute:
    """What may stand in a layer's place, and how many of the channels of its input that is given."""

    module: nn.Module
    channels: int


Substitutes = Callable[[nn.Module], Mapping[str, Substitute]]
"""What makes a layer's substitutes of it, by a name for each."""


class LayerTimes:
    """Nanoseconds of a network's pass over a batch and of its layers in it, in eval mode.

    ``layers`` are those of interest, by name. A layer that is called several times counts as often, one that
    is not called takes no time. All is measured when it is asked for, and kept in ``tables``: of a network of
    this form on this device it is measured once. On one CPU thread it is the time that the thread works.
    Raises PrunerError for a network without values.
    """

    def __init__(
        self, model: nn.Module, example: Inputs, layers: Mapping[str, nn.Module], tables: LatencyTables
    ) -> None:
        check_module(model)
        check_has_values(model)
        self._model, self._example, self._layers, self._tables = model, example, dict(layers), tables
        self._device = inputs_device(example)
        self._of = timed_on(model, example)

    @property
    def network(self) -> int:
        """Return what the whole pass takes."""
        return int(self._dense["network"])

    @cached_property
    def dense(self) -> dict[str, int]:
        """Return what each layer takes as it is."""
        return {name: int(self._dense["layers"].get(name, 0)) for name in self._layers}

    @cached_property
    def rest(self) -> int:
        """Return what the network takes besides its layers, 0 at least."""
        return max(0, self.network - sum(self.dense.values()))

    @property
    def total(self) -> int:
        """Return the time of the network left dense: its pass, or its layers where they take longer."""
        return self.rest + sum(self.dense.values())

    @property
    def outputs(self) -> dict[str, int]:
        """Return how many numbers each layer puts out in a pass."""
        return {name: int(self._dense["outputs"].get(name, 0)) for name in self._layers}

    def substitutes(self, part: str, name: str, others: Substitutes) -> dict[str, int]:
        """Return what a layer takes as each of some other modules; kept under the layer's name and ``part``.

        They run in turn with the layer, on what it is given in the network's pass, and are told by the median
        share of the layer's own time.
        """
        if not self.dense[name]:
            return dict.fromkeys(others(self._layers[name]), 0)
        found = self._tables.once(self._of, f"{part} of {name}", partial(self._beside, name, others))
        return {key: int(value) for key, value in found.items()}

    def rest_of(
        self, part: str, other: Callable[[], tuple[nn.Module, Mapping[str, nn.Module]]]
    ) -> int | None:
        """Return what another network takes besides its layers of the same names; kept as ``part``.

        None where that network cannot be run.
        """
        if not self.rest:
            return 0
        rest = self._tables.once(self._of, part, partial(self._rest_beside, other))["rest"]
        return None if rest is None else int(rest)

    @cached_property
    def _dense(self) -> Measured:
        return self._tables.once(self._of, f"{len(self._layers)} layers", self._measure)

    def _measure(self) -> Measured:
        """Measure passes; each layer's time is its share of the pass that it was called in."""
        one = TimedPass(self._model, self._layers, self._device)
        with self._quietly(self._model):
            passes = [one.run(self._batch[0]) for _ in range(_WARMUP + _ROUNDS)][_WARMUP:]
        whole = 1e9 * median(each.seconds for each in passes) / self._batch[1]
        shares = {n: median(each.layers[n] / each.seconds for each in passes) for n in passes[0].layers}
        return {
            "network": round(whole),
            "layers": {name: round(whole * share) for name, share in shares.items()},
            "outputs": passes[0].outputs,
        }

    def _beside(self, name: str, others: Substitutes) -> Measured:
        layer, inputs, made = self._layers[name], self._inputs[name], others(self._layers[name])
        dim = -1 if isinstance(layer, nn.Linear) else -3
        given = {
            channels: [_contiguous(x.narrow(dim, 0, channels), like=x) for x in inputs]
            for channels in {other.channels for other in made.values()}
        }
        passes = [partial(_run, layer, inputs)]
        passes += [partial(_run, other.module, given[other.channels]) for other in made.values()]
        with self._quietly(self._model):
            clock = working_clock(self._device)
            shares = shares_of_first(in_turn(passes, self._device, _ROUNDS, _SECONDS, clock))[1:]
        return {key: round(self.dense[name] * share) for key, share in zip(made, shares, strict=True)}

    def _rest_beside(self, other: Callable[[], tuple[nn.Module, Mapping[str, nn.Module]]]) -> Measured:
        model, layers = other()
        with self._quietly(self._model, model):
            ours, theirs = (
                TimedPass(m, x, self._device) for m, x in ((self._model, self._layers), (model, layers))
            )
            try:
                with naming_refusals(model, "The other network cannot be run"):
                    pairs = [
                        (ours.run(self._batch[0]), theirs.run(self._batch[0]))
                        for _ in range(_WARMUP + _ROUNDS)
                    ]
            except PrunerError:
                return {"rest": None}
        share = median(max(0.0, small.rest) / dense.seconds for dense, small in pairs[_WARMUP:])
        return {"rest": round(self.network * share)}

    @cached_property
    def _batch(self) -> tuple[Inputs, int]:
        return batch_that_runs(self._model, self._example)

    @cached_property
    def _inputs(self) -> dict[str, list[Tensor]]:
        """What each layer is given in a pass of the batch."""
        noted: dict[str, list[Tensor]] = {}

        def note(name: str, layer: nn.Module, given: tuple[Any, ...], by_name: dict[str, Any]) -> None:
            noted.setdefault(name, []).append(layer_input(given, by_name).detach().clone())

        with ExitStack() as hooks:
            for name, layer in self._layers.items():
                handle = layer.register_forward_pre_hook(partial(note, name), with_kwargs=True)
                hooks.callback(handle.remove)
            with self._quietly(self._model), calling_layers():
                forward_on_copy(self._model, self._batch[0])
        return noted

    @contextmanager
    def _quietly(self, *models: nn.Module) -> Iterator[None]:
        """Hold networks in eval mode; they may draw random numbers, and others are not to notice."""
        with ExitStack() as held:
            for model in models:
                held.enter_context(evaluating(model))
                held.enter_context(seeded(0, model))
            yield


def _run(layer: nn.Module, inputs: Sequence[Tensor]) -> None:
    for each in inputs:
        layer(each)


def _contiguous(tensor: Tensor, like: Tensor) -> Tensor:
    last = like.dim() == 4 and not like.is_contiguous()
    return tensor.clone(memory_format=torch.channels_last if last else torch.contiguous_format)
