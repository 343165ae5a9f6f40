"""Whole heads in place of single channels, where a group's channels are an attention's."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn

from pruners.channels.grouping.attention import projections_of
from pruners.channels.grouping.groups import ChannelGroup
from pruners.channels.grouping.rehearsal import removable
from pruners.network.layer_names import named_modules

_HEADS = ("num_heads", "num_attention_heads", "n_heads", "heads", "n_head", "nhead")
_KEY_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads")
"""Attributes by which an attention tells its number of heads, and that of keys' and values'."""

_Agrees = Callable[[Mapping[str, ChannelGroup]], bool]


def by_heads(
    groups: Mapping[str, ChannelGroup], network: nn.Module, agrees: _Agrees
) -> dict[str, ChannelGroup]:
    """Put whole heads in place of an attention's channels; the groups keep their names and order.

    torch's own attention can lose nothing else, and where it has one head nothing. Another module is an
    attention where Linears of its own make three filters for each channel, query's, key's and value's, and an
    attribute tells how many heads it has. All that it tells of this number, and of that of the channels, is
    taken to change with the heads, or else the number of heads alone. ``agrees`` tells whether groups can go
    so; what cannot is left as it is.
    """
    modules = dict(named_modules(network))
    owners = {name: _owner(group) for name, group in groups.items()}
    found, others = dict(groups), dict(groups)
    for name, group in groups.items():
        module = modules.get(owners[name])
        if isinstance(module, nn.MultiheadAttention) and projections_of(module):
            del found[name], others[name]
            if module.num_heads > 1:
                found[name] = _of_heads(group, module.num_heads, {})
    for channels_too in (True, False):
        tried = {}
        for name, group in others.items():
            module = modules.get(owners[name])
            if module is not None and (found_numbers := _numbers(module, group, channels_too)):
                heads, told = found_numbers
                tried[name] = _of_heads(
                    group, heads, {_joined(owners[name], n): each for n, each in told.items()}
                )
        for name in _removable(tried, agrees):
            found[name] = tried[name]
            del others[name]
    return {name: found[name] for name in groups if name in found}


def _removable(tried: Mapping[str, ChannelGroup], agrees: _Agrees) -> list[str]:
    return removable(list(tried), lambda names: agrees({name: tried[name] for name in names}))


def _owner(group: ChannelGroup) -> str:
    """Return the module that all the layers are attributes of, or else a name that none has."""
    owners = {layer.rpartition(".")[0] for layer in group.layers}
    return owners.pop() if len(owners) == 1 else "."


def _numbers(module: nn.Module, group: ChannelGroup, channels_too: bool) -> tuple[int, dict[str, int]] | None:
    """Return an attention's number of heads, and how much each head has of the numbers that it tells."""
    told = {name: value for name, value in vars(module).items() if type(value) is int}
    heads = next((told[name] for name in _HEADS if name in told), 0)
    columns = [filters for place in group.filters for filters in place.index.T]
    every = torch.arange(group.channels, device="cpu")
    if heads < 2 or group.channels % heads or len(columns) != 3 or not torch.equal(columns[0], every):
        return None
    numbers = {name: 1 for name in (*_HEADS, *_KEY_HEADS) if told.get(name) == heads}
    if channels_too:
        each = group.channels // heads
        numbers |= {
            name: each for name, value in told.items() if value == group.channels and name not in numbers
        }
    return heads, numbers


def _of_heads(group: ChannelGroup, heads: int, numbers: Mapping[str, int]) -> ChannelGroup:
    """Join channels that follow one another, as many as a head has; each of its filters is a place then."""
    return replace(
        group,
        channels=heads,
        filters=tuple(
            replace(place, index=entries.reshape(heads, -1))
            for place in group.filters
            for entries in place.index.T
        ),
        places=tuple(replace(place, index=place.index.reshape(heads, -1)) for place in group.places),
        numbers=numbers,
    )


def _joined(module: str, attribute: str) -> str:
    return f"{module}.{attribute}" if module else attribute
