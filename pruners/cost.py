"""What a network costs: parameters, multiply-adds and time of one forward pass."""

import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode

from pruners.artifact import Artifact, network_of
from pruners.inputs import Inputs, forward, inputs_device
from pruners.positions import evaluating, output_positions
from pruners.sparse.mask import Mask

_WARMUP = 2
_REPEATS = 10


@dataclass(frozen=True)
class Cost:
    """Parameters of the whole network (shared ones once), multiply-adds and median milliseconds of one forward pass of the example."""

    params: int
    multiply_adds: int
    latency_ms: float


def cost(model: nn.Module | Artifact, example: Inputs, mask: Mask | None = None) -> Cost:
    """Cost of a network, or of the network an artifact makes, in eval mode for ``example``, a batch on the network's device.

    Multiply-adds are those of matrix products and convolutions, as torch's FlopCounterMode finds them (it counts two
    operations for each). Where ``mask``, or a Mask in place of the network, says which of its weights are kept, neither parameters nor
    multiply-adds of the removed ones count (of a Linear whose weight another module reads, as `nn.MultiheadAttention` does, only the
    parameters), whereas the time is that of the dense network: zeros take as long. Raises PrunerError for an artifact loaded from
    disk, which has no network beside it, and BadArtifact for a mask of another network.
    """
    if isinstance(model, Artifact):
        mask = model if isinstance(model, Mask) else mask
        model = network_of(model)
    with evaluating(model):
        with FlopCounterMode(display=False) as counter:
            forward(model, example)
        times = [_seconds(model, example) for _ in range(_WARMUP + _REPEATS)]
    params = sum(parameter.numel() for parameter in model.parameters())
    multiply_adds = counter.get_total_flops() // 2
    if mask is not None:
        removed = {name: int((~kept).sum()) for name, kept in mask.masks.items()}
        uses = _uses(model, mask, example)
        params -= sum(removed.values())
        multiply_adds -= sum(count * uses[name] for name, count in removed.items())
    return Cost(params, multiply_adds, 1000 * median(times[_WARMUP:]))


def _uses(model: nn.Module, mask: Mask, example: Inputs) -> dict[str, int]:
    """How often each weight of the masked parameters is multiplied for the example, in all the layers that share it."""
    weights = mask.weights_of(model)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, _ConvNd | nn.Linear) and any(m.weight is w for w in weights.values())}
    positions = output_positions(model, layers, example)
    return {name: sum(positions[n] for n, layer in layers.items() if layer.weight is weight) for name, weight in weights.items()}


def _seconds(network: nn.Module, example: Inputs) -> float:
    _synchronize(example)
    start = time.perf_counter()
    forward(network, example)
    _synchronize(example)
    return time.perf_counter() - start


def _synchronize(example: Inputs) -> None:
    device = inputs_device(example)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
