"""What groups that lose channels leave of a network's tensors and of the numbers that its modules tell."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pruners.channels.grouping.groups import ChannelGroup


def entries_left(
    groups: Mapping[str, ChannelGroup],
    kept: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, dict[int, Tensor]]:
    """Return the entries that stay in each tensor where groups keep the given channels, others all."""
    stays: dict[str, dict[int, Tensor]] = {}
    for name, channels in kept.items():
        group = groups[name]
        removed = torch.ones(group.channels, dtype=torch.bool, device="cpu")
        removed[channels] = False
        for place in group.places if bool(removed.any()) else ():
            of_tensor = stays.setdefault(place.tensor, {})
            length = shapes[place.tensor][place.dim]
            mask = of_tensor.setdefault(place.dim, torch.ones(length, dtype=torch.bool, device="cpu"))
            mask[place.index[removed].flatten()] = False
    return {
        name: {dim: mask.nonzero()[:, 0] for dim, mask in of_tensor.items()}
        for name, of_tensor in stays.items()
    }


def numbers_left(
    groups: Mapping[str, ChannelGroup], kept: Mapping[str, Tensor]
) -> dict[str, tuple[int, int]]:
    """Return the attributes that change with their dense number and what is left of it."""
    return {
        attribute: (each * groups[name].channels, each * len(channels))
        for name, channels in kept.items()
        for attribute, each in groups[name].numbers.items()
        if len(channels) < groups[name].channels
    }
