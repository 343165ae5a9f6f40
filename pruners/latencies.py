"""How long networks take beside each other."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import nn

from pruners.network.forward_pass import batch_that_runs, evaluating
from pruners.network.inputs import Inputs, check_example, forward, forward_on_copy, inputs_device, map_tensors
from pruners.network.layer_names import check_module
from pruners.network.readiness import check_initialized
from pruners.network.timing import in_turn, shares_of_first, working_clock
from pruners.quantization.capture import by_position
from pruners.quantization.int8 import Int8Network

_ROUNDS = 30
_SECONDS = 3.0


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of a pass, and the median share of the first network's time in the same round."""

    ms: float
    kept: float


def latencies(networks: Mapping[str, nn.Module], example: Inputs) -> dict[str, Latency]:
    """Time the forward pass of networks in eval mode, in turn, so that other work slows down all alike.

    ``example`` is a batch on their device, ``kept`` a share of the first network's time. Thirty rounds after
    two that do not count, or as many as go into three seconds and five at least. On one CPU thread it is the
    time that the thread works: what it waits for others does not count. Int8 networks are timed as
    `Int8Network.lowered` makes them. A network that takes no batch of one is timed with two examples, and the
    time is halved.

    Raises PrunerError for no networks, one that has not been run yet (Lazy modules), and an example that one
    cannot take.
    """
    check_example(example)
    for network in networks.values():
        check_module(network)
        check_initialized(network)
    with ExitStack() as held:
        passes = [_pass(network, example, held) for network in networks.values()]
        device = inputs_device(example)
        computes = [compute for compute, _ in passes]
        rounds = in_turn(computes, device, _ROUNDS, _SECONDS, working_clock(device))
    times = [[seconds / copies for seconds, (_, copies) in zip(one, passes, strict=True)] for one in rounds]
    return {
        name: Latency(1000 * median(one[place] for one in times), kept)
        for place, (name, kept) in enumerate(zip(networks, shares_of_first(times), strict=True))
    }


def _pass(network: nn.Module, example: Inputs, held: ExitStack) -> tuple[Callable[[], object], int]:
    """Return a pass of the network over the batch, or over as many copies of it as it takes."""
    batch, copies = batch_that_runs(network, example)
    batch = map_tensors(torch.clone, batch)  # which the network may change
    if isinstance(network, Int8Network):
        held.enter_context(torch.no_grad())
        return partial(forward_on_copy, network.lowered(batch), by_position(batch)), copies
    held.enter_context(evaluating(network))
    return partial(forward, network, batch), copies
