"""What a network costs: parameters, multiply-adds and time of one forward pass."""

import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pruners.artifact import Artifact, network_of
from pruners.positions import evaluating

_WARMUP = 2
_REPEATS = 10


@dataclass(frozen=True)
class Cost:
    """Parameters of the whole network (shared ones once), multiply-adds and median milliseconds of one forward pass of the example."""

    params: int
    multiply_adds: int
    latency_ms: float


def cost(model: nn.Module | Artifact, example: Tensor) -> Cost:
    """Cost of a network, or of the network an artifact makes, in eval mode for ``example``, a batch on the network's device.

    Multiply-adds are those of matrix products and convolutions, as torch's FlopCounterMode finds them (it counts two
    operations for each). PrunerError for an artifact loaded from disk, which has no network beside it.
    """
    network = network_of(model) if isinstance(model, Artifact) else model
    with evaluating(network):
        with FlopCounterMode(display=False) as counter:
            network(example)
        times = [_seconds(network, example) for _ in range(_WARMUP + _REPEATS)]
    params = sum(parameter.numel() for parameter in network.parameters())
    return Cost(params, counter.get_total_flops() // 2, 1000 * median(times[_WARMUP:]))


def _seconds(network: nn.Module, example: Tensor) -> float:
    _synchronize(example)
    start = time.perf_counter()
    network(example)
    _synchronize(example)
    return time.perf_counter() - start


def _synchronize(example: Tensor) -> None:
    if example.is_cuda:
        torch.cuda.synchronize(example.device)
