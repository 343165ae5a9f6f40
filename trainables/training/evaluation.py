"""How good a network is on one split."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from pruners.network.inputs import forward
from trainables.task.data.splits import Split
from trainables.task.loss import Loss
from trainables.task.metrics.users import Counter


def batch_size(device: torch.device) -> int:
    """Return how many examples are evaluated at once: on a CPU as many as its cache has room for.

    It does not depend on the trial, nor do the order of summation and with it the last bits of the loss.
    """
    return 128 if device.type == "cpu" else 512


@torch.no_grad()
def evaluate(
    network: nn.Module,
    split: Split,
    loss: Loss,
    device: torch.device,
    counters: Mapping[str, Counter],
    weight: Callable[[Tensor], int | Tensor] = len,
) -> dict[str, float]:
    """Evaluate the mean ``loss`` over ``split`` and each of ``counters``.

    The network is put into evaluation mode, and back. ``weight`` says of a batch's labels how much its mean
    loss weighs; one that weighs nothing is left out.
    """
    was_training = network.training
    network.eval()
    total = torch.zeros((), dtype=torch.float64, device=device)
    weights = torch.zeros((), dtype=torch.int64, device=device)
    try:
        for inputs, labels in split.in_order(batch_size(device), device):
            outputs = forward(network, inputs)
            weighs = torch.as_tensor(weight(labels), device=device)
            total += torch.where(weighs > 0, loss(outputs, labels).double() * weighs, 0.0)
            weights += weighs
            for counter in counters.values():
                counter.update(outputs, labels)
    finally:
        network.train(was_training)
    mean = total.item() / weights.item() if weights.item() else float("nan")
    return {"loss": mean, **{name: counter.compute() for name, counter in counters.items()}}
