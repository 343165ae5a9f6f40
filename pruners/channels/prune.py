"""From a network to channels: score, choose within the budget, and see that the rest can go."""

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from pruners.channels.channels import Channels, LayerChannels
from pruners.channels.cutting import shape_left
from pruners.channels.methods.channel_method import ChannelInputs, ChannelMethod
from pruners.channels.network_channels import NetworkChannels
from pruners.channels.scoring import channel_scores
from pruners.channels.selection import least_kept, most_within
from pruners.channels.timed_channels import TimedChannels
from pruners.errors import InfeasibleBudget, PrunerError
from pruners.latency.tables import LatencyTables
from pruners.lowrank.layers.budget import IN_TIME, Budget, resolve_budget, unit_of
from pruners.network.layer_names import named_modules, unwrapped


def remove_channels(
    model: nn.Module,
    method: ChannelMethod,
    *,
    asked: Mapping[str, Any],
    tables: LatencyTables,
    scoring_inputs: ChannelInputs,
    seed: int,
    options: Mapping[str, Any],
) -> Channels:
    """Choose a network's channels by a method within the budget ``asked``, see `pruners.compress`.

    For a budget in time the example is the batch that is timed.
    """
    chosen = method.with_defaults(options)
    in_time = any(asked[kind] is not None for kind in IN_TIME)
    channels: NetworkChannels = (
        TimedChannels(model, scoring_inputs.example, tables, chosen["exclude"])
        if in_time
        else NetworkChannels(model, scoring_inputs.example, chosen["exclude"])
    )
    allowed = resolve_budget(channels, **asked)
    scores = channel_scores(model, method, channels.groups, scoring_inputs, seed, chosen)
    while True:
        groups = [name for name in channels.groups if name in scores]
        multiples = _multiples(channels, groups, chosen["round_to"])
        least = _least(channels, multiples, allowed.unit)
        if least > allowed.limit:
            raise _infeasible(allowed, least, channels)
        kept = most_within(
            {name: scores[name] for name in groups},
            chosen["allocation"],
            multiples,
            allowed.limit,
            lambda removed: channels.cost(removed, allowed.unit),
        )
        every = {n: torch.arange(g.channels, device="cpu") for n, g in channels.groups.items()}
        if not channels.leave_whole(every | kept):
            break
    chosen |= {"seed": seed} | {name: value for name, value in asked.items() if value is not None}
    return _artifact(model, method.name, chosen, channels, kept)


def least_channels(
    model: nn.Module | NetworkChannels,
    kind: str,
    method: ChannelMethod,
    example: Any,
    options: Mapping[str, Any],
    tables: LatencyTables,
) -> float:
    """Return the least budget of this kind that a method can meet, see `pruners.least_budget`."""
    chosen = method.with_defaults(options)
    unit = unit_of(kind)
    if isinstance(model, NetworkChannels):
        if kind in IN_TIME:
            raise PrunerError(f"A budget in time ({kind}) needs the network itself, not its channels.")
        channels = model
    elif example is None:
        raise PrunerError(f"Method {method.name} needs example=.")
    elif kind in IN_TIME:
        channels = TimedChannels(model, example, tables, chosen["exclude"])
    else:
        channels = NetworkChannels(model, example, chosen["exclude"])
    least = _least(channels, _multiples(channels, channels.groups, chosen["round_to"]), unit)
    # unit_of has checked the kind
    return Budget(kind, least, unit).as_asked(least, channels)  # type: ignore[arg-type]


def _multiples(channels: NetworkChannels, groups: Iterable[str], round_to: int) -> dict[str, int]:
    return {name: channels.groups[name].multiple(round_to) for name in groups}


def _least(channels: NetworkChannels, multiples: Mapping[str, int], unit: str) -> int:
    sizes = {name: channels.groups[name].channels for name in multiples}
    kept = {name: least_kept(size, multiples[name]) for name, size in sizes.items()}
    return channels.cost({name: size - kept[name] for name, size in sizes.items()}, unit)


def _infeasible(allowed: Budget, least: int, channels: NetworkChannels) -> InfeasibleBudget:
    asked = allowed.as_asked(least, channels)
    total = allowed.amount(channels.total(allowed.unit))
    return InfeasibleBudget(
        f"A budget of {allowed} cannot be met: with the fewest channels the network still has "
        f"{allowed.amount(least)} of {total} ({allowed.kind}={asked:.6g}).",
        asked,
    )


def _artifact(
    model: nn.Module,
    method: str,
    options: Mapping[str, Any],
    channels: NetworkChannels,
    kept: Mapping[str, Tensor],
) -> Channels:
    entries = channels.entries_left(kept)
    layers = {}
    modules = dict(named_modules(unwrapped(model)))
    for name, layer in channels.layers.items():
        shape = shape_left(layer.shape, entries.get(channels.tensors[name], {}))
        dim = 1 if isinstance(modules.get(name), _ConvTransposeNd) else 0
        layers[name] = LayerChannels(shape[dim], layer.shape[dim], prod(shape), layer.params)
    shapes = {name: channels.shapes[name] for name in entries}
    return Channels(method, options, layers, entries, shapes, channels.numbers_left(kept), source=model)
