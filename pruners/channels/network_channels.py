"""A network's channel groups, and what it costs with some of their channels."""

import warnings
from collections.abc import Collection, Mapping
from functools import cached_property
from math import prod

import torch
from torch import Tensor, nn

from pruners.channels.cutting import groups_left
from pruners.channels.grouping.dependencies import Dependencies
from pruners.channels.grouping.groups import ChannelGroup, channel_groups
from pruners.channels.grouping.heads import by_heads
from pruners.channels.grouping.rehearsal import Rehearsal, removable
from pruners.channels.grouping.removal import entries_left, numbers_left
from pruners.errors import PrunerWarning
from pruners.network.counting.multiply_adds import multiply_adds
from pruners.network.inputs import Inputs, check_example
from pruners.network.layer_names import (
    check_module,
    matching_layers,
    named_buffers,
    named_parameters,
    unwrapped,
)
from pruners.network.readiness import check_initialized
from pruners.sparse.selection.prunable import PrunableLayer, prunable


class NetworkChannels:
    """The channels and heads that a network can lose, and the cost of all weights that a mask would reach.

    ``groups`` maps names to channel groups, ``layers`` those to the weights that count: the same as a mask's,
    so that a keep_ratio means the same for both, and ``tensors`` to the names that these weights have in
    places. Layers that cannot lose channels (the output, those before a LayerNorm) count in the cost, and so
    do excluded ones, whose own output channels all stay. Made from shapes alone: tensors on the meta device
    will do.

    Groups that cannot be removed without a change of what the network computes are left out, with a
    PrunerWarning that names them. Raises PrunerError for a network or example that cannot be run.
    """

    def __init__(self, model: nn.Module, example: Inputs, exclude: Collection[str] = ()) -> None:
        check_module(model)
        check_initialized(model)
        check_example(example)
        self._model, self._example = unwrapped(model), example
        self.layers: dict[str, PrunableLayer] = prunable(model)
        excluded = matching_layers(exclude, self.layers, "exclude", "convolution or Linear")
        self.rehearsal = Rehearsal(model, example)
        with torch.enable_grad():
            network, inputs, training = self.rehearsal.traced()
            groups = channel_groups(network, Dependencies(network, inputs, training), excluded)
        tensors = named_parameters(self._model) | named_buffers(self._model)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        # a shared weight is a place by its first name
        first = {id(tensor): name for name, tensor in reversed(tensors.items())}
        self.tensors = {name: first[id(tensors[layer.parameter])] for name, layer in self.layers.items()}
        self.groups = by_heads(groups, network, lambda tried: self._agrees(tried, _halves(tried)))
        self.leave_whole(_halves(self.groups))

    def leave_whole(self, kept: Mapping[str, Tensor]) -> bool:
        """Try a removal out, and leave whole the groups that cannot go so; tell whether there were any.

        ``kept`` maps groups to the channels that they keep.
        """
        left = removable(
            list(self.groups),
            lambda names: self._agrees(self.groups, {name: kept[name] for name in names}),
        )
        whole = [group for name, group in self.groups.items() if name not in left]
        self.groups = {name: self.groups[name] for name in left}
        if whole:
            named = ", ".join(" and ".join(map(repr, group.layers)) for group in whole)
            warnings.warn(
                f"The channels of {named} all stay: without some of them the network does not compute what "
                "it does with zeros in their place.",
                PrunerWarning,
                2,
            )
        return bool(whole)

    def entries_left(self, kept: Mapping[str, Tensor]) -> dict[str, dict[int, Tensor]]:
        """Return the entries that stay in each tensor where groups keep the given channels, others all."""
        return entries_left(self.groups, kept, self.shapes)

    def numbers_left(self, kept: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
        """Return the numbers that modules tell which change, dense and left, as `entries_left`."""
        numbers = numbers_left(self.groups, kept)
        return groups_left(self._model, self.entries_left(kept)) | numbers

    def total(self, unit: str) -> int:
        """Return the cost of the dense layers in a unit that `cost` knows."""
        return self.cost({}, unit)

    def cost(self, removed: Mapping[str, int], unit: str) -> int:
        """Return what the layers cost without so many ``removed`` channels of each group."""
        return sum(self._of_weights(prod(self.left(name, removed)), name, unit) for name in self.layers)

    def _agrees(self, groups: Mapping[str, ChannelGroup], kept: Mapping[str, Tensor]) -> bool:
        return self.rehearsal.agrees(entries_left(groups, kept, self.shapes), numbers_left(groups, kept))

    def left(self, layer: str, removed: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape that a layer's weight is left with."""
        return tuple(
            size - sum(each * removed.get(group, 0) for group, each in self._losses[layer].get(dim, ()))
            for dim, size in enumerate(self.layers[layer].shape)
        )

    @cached_property
    def _losses(self) -> dict[str, dict[int, list[tuple[str, int]]]]:
        """Which groups take how many entries a channel from each dimension of each layer's weight."""
        losses: dict[str, dict[int, list[tuple[str, int]]]] = {name: {} for name in self.layers}
        by_tensor = {tensor: name for name, tensor in self.tensors.items()}
        for group in self.groups.values():
            for place in group.places:
                if place.tensor in by_tensor:
                    of_layer = losses[by_tensor[place.tensor]].setdefault(place.dim, [])
                    of_layer.append((group.name, place.index.shape[1]))
        return losses

    def _of_weights(self, weights: int, layer: str, unit: str) -> int:
        """Return what so many of a layer's weights cost, on average where some are multiplied more often.

        Those of queries and keys are in attention to another sequence, and a head takes as many of each.
        """
        if unit == "parameters":
            return weights
        return -(-self._multiplied[layer] * weights // max(1, self.layers[layer].params))

    @cached_property
    def _multiplied(self) -> dict[str, int]:
        """How many multiply-adds each layer's weights take in a pass over the example."""
        model, example = self.rehearsal.network, self.rehearsal.example
        parameters = named_parameters(model)
        weights = {name: parameters[layer.parameter] for name, layer in self.layers.items()}
        count = multiply_adds(model, example, {name: (weight, None) for name, weight in weights.items()})
        return dict(count.of_weight)


def _halves(groups: Mapping[str, ChannelGroup]) -> dict[str, Tensor]:
    return {name: _half(group.channels) for name, group in groups.items()}


def _half(channels: int) -> Tensor:
    """Return half of a number of channels, drawn at random, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(channels, generator=generator, device="cpu")[: (channels + 1) // 2].sort().values
