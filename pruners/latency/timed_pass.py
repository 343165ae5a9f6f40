"""One pass of a network with a clock at each of its layers."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pruners.network.counting.multiply_adds import calling_layers
from pruners.network.inputs import Inputs, forward_on_copy
from pruners.network.timing import synchronize, working_clock


@dataclass
class PassTimes:
    """Seconds of a pass and of the layers that it called, and how many numbers these put out."""

    seconds: float = 0.0
    layers: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)

    @property
    def rest(self) -> float:
        """Return the seconds besides the layers."""
        return self.seconds - sum(self.layers.values())


class TimedPass:
    """Passes of a network in eager mode, by the kernels that it is used with; they tell each layer's time."""

    def __init__(self, model: nn.Module, layers: Mapping[str, nn.Module], device: torch.device) -> None:
        self._model, self._layers, self._device = model, layers, device
        self._clock = working_clock(device)
        self._began: list[float] = []

    def run(self, batch: Inputs) -> PassTimes:
        """Run a copy of the batch."""
        times = PassTimes()
        with ExitStack() as hooks, calling_layers():
            for name, layer in self._layers.items():
                hooks.callback(layer.register_forward_pre_hook(self._begin).remove)
                hooks.callback(layer.register_forward_hook(partial(self._end, name, times)).remove)
            start = self._now()
            forward_on_copy(self._model, batch)
            times.seconds = self._now() - start
        return times

    def _now(self) -> float:
        synchronize(self._device)
        return self._clock()

    def _begin(self, layer: nn.Module, given: tuple[Any, ...]) -> None:
        self._began.append(self._now())

    def _end(
        self, name: str, times: PassTimes, layer: nn.Module, given: tuple[Any, ...], output: Tensor
    ) -> None:
        times.layers[name] = times.layers.get(name, 0.0) + self._now() - self._began.pop()
        times.outputs[name] = times.outputs.get(name, 0) + output.numel()
