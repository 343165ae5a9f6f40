"""Channel groups: channels of several layers that can only go together."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import gcd, lcm

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from pruners.channels.grouping.attention import projections_of
from pruners.channels.grouping.dependencies import Dependencies, Pair
from pruners.channels.grouping.places import Axis
from pruners.network.layer_names import named_buffers, named_modules, named_parameters


@dataclass(frozen=True, eq=False)
class Place:
    """Where a group's channels lie in one tensor.

    ``index`` is int64 on the CPU, channels x entries: which entries of dimension ``dim`` each channel takes.
    """

    tensor: str
    dim: int
    index: Tensor

    def of_each(self, tensor: Tensor) -> Tensor:
        """Return what each channel has of a tensor that lies as this place's own: channels x the rest."""
        index = self.index.to(tensor.device)
        return tensor.movedim(self.dim, 0)[index].flatten(1)


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that several layers share: each goes from all of them or from none.

    ``layers`` names the convolutions, Linears and projections whose filters make the channels, the first of
    which names the group; ``filters`` are those filters' places, ``places`` all. A channel can be many
    filters of a layer: a whole group of a convolution, or a head, with query's, key's and value's filters.
    ``numbers`` maps attributes of modules ("attention.num_heads") to how much of each is a channel's.
    """

    name: str
    channels: int
    layers: tuple[str, ...]
    filters: tuple[Place, ...]
    places: tuple[Place, ...]
    numbers: Mapping[str, int] = field(default_factory=dict)

    def multiple(self, round_to: int) -> int:
        """Return of how many channels a multiple is one of ``round_to`` filters in every layer."""
        return lcm(*(round_to // gcd(round_to, place.index.shape[1]) for place in self.filters))


def channel_groups(
    model: nn.Module, dependencies: Dependencies, excluded: Collection[str]
) -> dict[str, ChannelGroup]:
    """Gather the groups of more than one channel, by name, in the order of their first layers.

    Channels that one of the ``excluded`` layers makes are in none.
    """
    makers = _makers(model)
    whole = dependencies.whole + [
        (axis, torch.arange(axis.length, device="cpu")) for axis, name in makers.items() if name in excluded
    ]
    tensors = named_parameters(model) | named_buffers(model)
    names = {id(tensor): name for name, tensor in reversed(tensors.items())}
    groups: dict[str, ChannelGroup] = {}
    order = list(makers)
    gathered = {
        axes: channels
        for axes, channels in _by_axes(dependencies.pairs, whole).items()
        if len(channels) > 1 and any(axis in dependencies.roots for axis in axes)
    }
    for axes in sorted(gathered, key=lambda axes: min(order.index(a) for a in axes if a in makers)):
        index = torch.from_numpy(np.stack(gathered[axes]))
        places, start = {}, 0
        for axis in dict.fromkeys(axes):
            entries = axes.count(axis)
            places[axis] = Place(names[axis.tensor], axis.dim, index[:, start : start + entries])
            start += entries
        layers = tuple(dict.fromkeys(makers[axis] for axis in order if axis in places))
        name = _unused(layers[0], groups)
        filters = tuple(places[axis] for axis in order if axis in places)
        groups[name] = ChannelGroup(name, len(index), layers, filters, tuple(places.values()))
    return groups


def _makers(model: nn.Module) -> dict[Axis, str]:
    """Map the axis along which a weight's filters lie to the first layer that has it, in network order."""
    makers: dict[Axis, str] = {}
    for name, module in named_modules(model):
        if isinstance(module, _ConvNd | nn.Linear) and "weight" in module._parameters:
            dim = 1 if isinstance(module, _ConvTransposeNd) else 0
            makers.setdefault(Axis(id(module.weight), dim, module.weight.shape[dim]), name)
        for attribute, weight in projections_of(module).items():
            makers.setdefault(Axis(id(weight), 0, len(weight)), f"{name}.{attribute}" if name else attribute)
    return makers


def _unused(name: str, groups: Mapping[str, ChannelGroup]) -> str:
    number = sum(known == name or known.startswith(f"{name}#") for known in groups)
    return f"{name}#{number + 1}" if number else name


def _by_axes(
    pairs: Iterable[Pair], whole: Iterable[tuple[Axis, Tensor]]
) -> dict[tuple[Axis, ...], list[np.ndarray]]:
    """Join entries that go together into channels, gathered by the axes that they lie along.

    An axis comes as often as a channel has entries of it; a channel is given by these entries. Those with an
    entry that must stay are left out.
    """
    numbers = _Numbers()
    joined = [(numbers.of(a, i), numbers.of(b, j)) for a, i, b, j in pairs]
    stay = [numbers.of(axis, index) for axis, index in whole]
    none = np.zeros(0, int)
    first = np.concatenate([none, *(one for one, _ in joined)])
    second = np.concatenate([none, *(other for _, other in joined)])
    labels = _components(numbers.total, first, second)
    alive = np.ones(numbers.total, bool)
    alive[labels[np.concatenate([none, *stay])]] = False
    # in the order of the networks' axes, and of the entries along each
    used = np.zeros(numbers.total, bool)
    used[first] = used[second] = True
    members = np.flatnonzero(alive[labels] & used)
    members = members[np.argsort(labels[members], kind="stable")]
    starts = np.flatnonzero(np.diff(labels[members], prepend=-1))
    found: dict[tuple[Axis, ...], list[np.ndarray]] = {}
    for channel in np.split(members, starts[1:]) if len(members) else []:
        axes, entries = numbers.told(channel)
        if not axes:
            continue
        found.setdefault(axes, []).append(entries)
    return found


class _Numbers:
    """A number for each entry of each axis."""

    def __init__(self) -> None:
        self._starts: dict[Axis, int] = {}
        self._axes: list[Axis] = []
        self._bounds: list[int] = []
        self.total = 0

    def of(self, axis: Axis, index: Tensor) -> np.ndarray:
        if axis not in self._starts:
            self._starts[axis] = self.total
            self._axes.append(axis)
            self._bounds.append(self.total)
            self.total += axis.length
        return self._starts[axis] + index.numpy()

    def told(self, numbers: np.ndarray) -> tuple[tuple[Axis, ...], np.ndarray]:
        at = np.searchsorted(self._bounds, numbers, side="right") - 1
        of_tensors = np.array([self._axes[i].dim >= 0 for i in at], dtype=bool)
        at, numbers = at[of_tensors], numbers[of_tensors]
        return tuple(self._axes[i] for i in at), numbers - np.asarray(self._bounds)[at]


def _components(total: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return for each of ``total`` entries the smallest that it goes with, over any number of pairs."""
    labels = np.arange(total)
    while True:
        before = labels.copy()
        smaller = np.minimum(labels[first], labels[second])
        np.minimum.at(labels, first, smaller)
        np.minimum.at(labels, second, smaller)
        labels = labels[labels]
        if (labels == before).all():
            return labels
