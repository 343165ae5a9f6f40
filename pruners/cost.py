"""What a network costs: parameters, multiply-adds and time of one forward pass."""

from dataclasses import dataclass

import torch
from torch import nn

from pruners.artifact import Artifact, network_of
from pruners.network.counting.multiply_adds import multiply_adds
from pruners.network.forward_pass import batch_that_runs, evaluating
from pruners.network.inputs import Inputs, check_example, forward, inputs_device, map_tensors
from pruners.network.layer_names import check_module
from pruners.network.readiness import check_initialized
from pruners.network.timing import REPEATS, median_seconds
from pruners.sparse.mask import Mask, checked_mask


@dataclass(frozen=True)
class Cost:
    """A network's parameters, multiply-adds and time.

    Parameters are those of the whole network (shared ones once); multiply-adds and median milliseconds are of
    a forward pass of the example.
    """

    params: int
    multiply_adds: int
    latency_ms: float


def cost(model: nn.Module | Artifact, example: Inputs, mask: Mask | None = None) -> Cost:
    """Tell the cost of a network, or of the one an artifact makes, in eval mode.

    ``example`` is a batch on its device. Multiply-adds are those of matrix products and convolutions of the
    network as defined, see `multiply_adds`: attention's products of activations count, whatever fused kernel
    computes them, and compiled networks count as their plain selves. Where ``mask``, or a Mask in place of
    the network, says which weights are kept, neither parameters nor multiply-adds of the removed ones count,
    whereas the time is that of the dense network: zeros take as long. A network that takes no batch of one is
    timed with two examples, and the time is halved.

    Raises PrunerError for an artifact loaded from disk, which has no network beside it, for a network that
    has not been run yet (Lazy modules), and for an example that it cannot take; BadArtifact for a mask of
    another network.
    """
    if isinstance(model, Artifact):
        mask = model if isinstance(model, Mask) else mask
        model = network_of(model)
    check_module(model)
    check_example(example)
    check_initialized(model)
    mask = None if mask is None else checked_mask(mask)
    removed = {} if mask is None else {n: (w, ~mask.masks[n]) for n, w in mask.weights_of(model).items()}
    batch, copies = batch_that_runs(model, example)
    count = multiply_adds(model, example, removed)
    batch = map_tensors(torch.clone, batch)  # which the network may change
    with evaluating(model):
        seconds = median_seconds(lambda: forward(model, batch), inputs_device(batch), REPEATS) / copies
    params = sum(parameter.numel() for parameter in model.parameters())
    params -= sum(int(elements.count_nonzero()) for _, elements in removed.values())
    return Cost(params, count.total - count.chosen, 1000 * seconds)
