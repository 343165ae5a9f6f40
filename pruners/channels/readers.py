"""Which weights a channel is multiplied by: where it goes."""

from collections.abc import Mapping

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from pruners.channels.grouping.groups import ChannelGroup, Place
from pruners.network.layer_names import named_modules, named_parameters


def readers_of(
    network: nn.Module, groups: Mapping[str, ChannelGroup]
) -> dict[str, list[tuple[list[str], Place]]]:
    """Return for each group the convolutions and Linears that its channels go into, each with the place of
    the channels in its weight.

    Layers with the same weight come together. A grouped convolution that loses whole groups is one of those
    that make the channels.
    """
    names: dict[int, str] = {id(p): name for name, p in reversed(named_parameters(network).items())}
    layers: dict[tuple[str, int], list[str]] = {}
    for name, module in named_modules(network):
        if isinstance(module, _ConvTransposeNd) and module.groups > 1:
            continue
        if isinstance(module, nn.Linear | _ConvNd) and "weight" in module._parameters:
            dim = 0 if isinstance(module, _ConvTransposeNd) else 1
            layers.setdefault((names[id(module.weight)], dim), []).append(name)
    return {
        name: [
            (layers[place.tensor, place.dim], place)
            for place in group.places
            if (place.tensor, place.dim) in layers
        ]
        for name, group in groups.items()
    }
