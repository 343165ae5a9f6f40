"""A network's channel groups, and what it costs with some of their channels."""

import warnings
from collections.abc import Collection, Mapping
from functools import cached_property
from math import prod

import torch
from torch import Tensor, nn

from pruners.channels.grouping.dependencies import Dependencies
from pruners.channels.grouping.groups import channel_groups
from pruners.channels.grouping.rehearsal import Rehearsal, removable
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
    """The channels that a network can lose, and the cost of its convolutions and Linears.

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
            self.groups = channel_groups(network, Dependencies(network, inputs, training), excluded)
        tensors = named_parameters(self._model) | named_buffers(self._model)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        # a shared weight is a place by its first name
        first = {id(tensor): name for name, tensor in reversed(tensors.items())}
        self.tensors = {name: first[id(tensors[layer.parameter])] for name, layer in self.layers.items()}
        self.leave_whole({name: _half(group.channels) for name, group in self.groups.items()})

    def leave_whole(self, kept: Mapping[str, Tensor]) -> bool:
        """Try a removal out, and leave whole the groups that cannot go so; tell whether there were any.

        ``kept`` maps groups to the channels that they keep.
        """
        left = removable(
            list(self.groups),
            lambda names: self.rehearsal.agrees(self.kept_entries({name: kept[name] for name in names})),
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

    def kept_entries(self, kept: Mapping[str, Tensor]) -> dict[str, dict[int, Tensor]]:
        """Return the entries that stay in each tensor where groups keep the given channels, others all."""
        stays: dict[str, dict[int, Tensor]] = {}
        for name, channels in kept.items():
            group = self.groups[name]
            removed = torch.ones(group.channels, dtype=torch.bool, device="cpu")
            removed[channels] = False
            for place in group.places if bool(removed.any()) else ():
                of_tensor = stays.setdefault(place.tensor, {})
                length = self.shapes[place.tensor][place.dim]
                mask = of_tensor.setdefault(place.dim, torch.ones(length, dtype=torch.bool, device="cpu"))
                mask[place.index[removed].flatten()] = False
        return {
            name: {dim: mask.nonzero()[:, 0] for dim, mask in of_tensor.items()}
            for name, of_tensor in stays.items()
        }

    def total(self, unit: str) -> int:
        """Return the cost of the dense layers, in parameters or multiply_adds."""
        return self.cost({}, unit)

    def cost(self, removed: Mapping[str, int], unit: str) -> int:
        """Return what the layers cost without so many ``removed`` channels of each group."""
        return sum(
            self._times(unit, name)
            * prod(
                size - sum(each * removed.get(group, 0) for group, each in self._losses[name].get(dim, ()))
                for dim, size in enumerate(layer.shape)
            )
            for name, layer in self.layers.items()
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

    def _times(self, unit: str, layer: str) -> int:
        return 1 if unit == "parameters" else self._multiplied[layer]

    @cached_property
    def _multiplied(self) -> dict[str, int]:
        """How often each weight is multiplied in a pass over the example."""
        model, example = self.rehearsal.network, self.rehearsal.example
        parameters = named_parameters(model)
        weights = {name: parameters[layer.parameter] for name, layer in self.layers.items()}
        count = multiply_adds(model, example, {name: (weight, None) for name, weight in weights.items()})
        return {name: -(-count.of_weight[name] // max(1, w.numel())) for name, w in weights.items()}


def _half(channels: int) -> Tensor:
    """Return half of a number of channels, drawn at random, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(channels, generator=generator, device="cpu")[: (channels + 1) // 2].sort().values
