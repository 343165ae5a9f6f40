"""A network whose channels cost time."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from functools import cached_property, partial
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd

from pruners.channels.cutting import cut
from pruners.channels.network_channels import NetworkChannels
from pruners.latency.layer_times import LayerTimes, Substitute
from pruners.latency.tables import LatencyTables
from pruners.lowrank.layers.budget import NANOSECONDS
from pruners.network.inputs import Inputs, check_example, take_inputs
from pruners.network.layer_names import named_modules, unwrapped
from pruners.network.readiness import has_own_forward

_STEPS = (0.25, 0.5, 0.75, 1.0)
"""Shares of a layer's channels that are timed, in and out; one channel is timed too."""


class TimedChannels(NetworkChannels):
    """The channels that a network can lose, with how long its layers take with some of them.

    ``example`` is the batch that is timed. A Conv2d or Linear is timed on a grid of its input and output
    channels; between them times are interpolated, and more channels never take less. Other layers' times go
    down with their weights. What the network does besides, on what its layers put out, is timed with the same
    share of channels everywhere, and interpolated by how many numbers these still put out.
    """

    def __init__(
        self, model: nn.Module, example: Inputs, tables: LatencyTables, exclude: Collection[str] = ()
    ) -> None:
        check_example(example)
        super().__init__(model, take_inputs(example, slice(0, 1)), exclude)
        modules = dict(named_modules(unwrapped(model)))
        self._modules = {name: modules[name] for name in self.layers if name in modules}
        self._times = LayerTimes(model, example, self._modules, tables)
        self._grids: dict[str, _Grid] = {}

    def cost(self, removed: Mapping[str, int], unit: str) -> int:
        """Return what the layers cost without so many ``removed`` channels; in nanoseconds the network."""
        if unit != NANOSECONDS:
            return super().cost(removed, unit)
        left = {name: self.left(name, removed) for name in self._modules}
        return self._rest(left) + sum(self._nanoseconds(name, shape) for name, shape in left.items())

    def _rest(self, left: Mapping[str, tuple[int, ...]]) -> int:
        """Return what the network takes besides its layers where these have weights of such shapes."""
        if all(shape == self.layers[name].shape for name, shape in left.items()):
            return self._times.rest
        shares, times = self._rests
        return round(float(np.interp(self._put_out(left), shares, times)))

    @cached_property
    def _rests(self) -> tuple[list[float], list[int]]:
        """Measure the rest with few to all channels: by the share that layers put out, ascending.

        Numbers of channels that the network's own code refuses are left out.
        """
        found = {}
        for step in (0.0, *_STEPS[:-1]):
            kept = {n: max(1, round(step * group.channels)) for n, group in self.groups.items()}
            removed = {n: group.channels - kept[n] for n, group in self.groups.items()}
            left = {name: self.left(name, removed) for name in self._modules}
            rest = self._times.rest_of(f"rest with {step:g} of all channels", partial(self._small, kept))
            if rest is not None:
                found[self._put_out(left)] = min(rest, self._times.rest)
        found[1.0] = self._times.rest
        shares = sorted(found)
        return shares, np.maximum.accumulate([found[share] for share in shares]).tolist()

    def _put_out(self, left: Mapping[str, tuple[int, ...]]) -> float:
        """Return the share of all numbers put out that layers with weights of such shapes still put out."""
        outputs = self._times.outputs
        kept = {name: _out(self._modules[name], shape) for name, shape in left.items()}
        whole = {name: _out(self._modules[name], self.layers[name].shape) for name in left}
        return sum(outputs[n] * kept[n] / whole[n] for n in left) / max(1, sum(outputs[n] for n in left))

    def _small(self, kept: Mapping[str, int]) -> tuple[nn.Module, dict[str, nn.Module]]:
        """Return the network with the first so many channels of each group, and its layers."""
        first = {name: torch.arange(number, device="cpu") for name, number in kept.items()}
        small = cut(self._model, self.entries_left(first), self.numbers_left(first))
        modules = dict(named_modules(small))
        return small, {name: modules[name] for name in self._modules}

    def _nanoseconds(self, name: str, shape: tuple[int, ...]) -> int:
        dense, whole = self._times.dense[name], self.layers[name].shape
        if shape == whole or not dense:
            return dense
        if not _is_plain(self._modules[name]):
            return -(-dense * prod(shape) // prod(whole))
        if name not in self._grids:
            self._grids[name] = self._grid(name)
        return self._grids[name].at(shape[0], shape[1])

    def _grid(self, name: str) -> "_Grid":
        rows, columns = (_counts(size) for size in self.layers[name].shape[:2])
        made = partial(_narrower, rows, columns)
        found = self._times.substitutes("channels", name, made)
        times = np.array([[found[f"{out} x {given}"] for given in columns] for out in rows])
        return _Grid(np.array(rows), np.array(columns), times, self._times.dense[name])


class _Grid:
    """A layer's times over its output and input channels."""

    def __init__(
        self,
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
        times: NDArray[np.int64],
        dense: int,
    ) -> None:
        self._rows, self._columns = rows, columns
        times = np.minimum(times, dense)
        times[-1, -1] = dense
        self._times = np.maximum.accumulate(np.maximum.accumulate(times, axis=0), axis=1)

    def at(self, out: int, given: int) -> int:
        """Return the nanoseconds with so many output and input channels."""
        by_rows = [float(np.interp(given, self._columns, row)) for row in self._times]
        return round(float(np.interp(out, self._rows, by_rows)))


def _counts(channels: int) -> list[int]:
    return sorted({1, *(max(1, round(step * channels)) for step in _STEPS)})


def _out(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Return the output channels of a layer whose weight has this shape."""
    return shape[1 if isinstance(module, _ConvTransposeNd) else 0]


def _is_plain(module: nn.Module) -> bool:
    """Tell whether a layer can be made narrower by itself, without knowing what its code does."""
    if isinstance(module, nn.Linear):
        return not has_own_forward(module, nn.Linear)
    return isinstance(module, nn.Conv2d) and module.groups == 1 and not has_own_forward(module, nn.Conv2d)


def _narrower(rows: list[int], columns: list[int], layer: nn.Module) -> dict[str, Substitute]:
    """Return the layer with each number of output channels for each of input channels."""
    return {
        f"{out} x {given}": Substitute(_narrow(layer, out, given), given) for out in rows for given in columns
    }


def _narrow(layer: nn.Module, out: int, given: int) -> nn.Module:
    narrow = deepcopy(layer).eval()
    assert isinstance(narrow, nn.Conv2d | nn.Linear)
    weight = narrow.weight.detach()[:out, :given]
    last = weight.dim() == 4 and not narrow.weight.is_contiguous()
    narrow.weight = nn.Parameter(
        weight.clone(memory_format=torch.channels_last if last else torch.contiguous_format)
    )
    if narrow.bias is not None:
        narrow.bias = nn.Parameter(narrow.bias.detach()[:out].clone())
    if isinstance(narrow, nn.Conv2d):
        narrow.out_channels, narrow.in_channels = out, given
    else:
        narrow.out_features, narrow.in_features = out, given
    return narrow
