"""How good a network is on one split."""

import torch
from torch import nn

from trainables.data.splits import Split
from trainables.loss import Loss

BATCH = 512  # fixed: the order of summation, and with it the last bits of the loss, does not depend on the trial


@torch.no_grad()
def evaluate(network: nn.Module, split: Split, loss: Loss, device: torch.device) -> tuple[float, float]:
    """(accuracy, mean loss) over ``split``, the network in evaluation mode and put back; accuracy in [0, 1].

    Outputs are logits (N, classes, ...), the largest along dimension 1 is the answer.
    """
    was_training = network.training
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    answers = 0
    for inputs, labels in split.in_order(BATCH, device):
        outputs = network(inputs)
        right += (outputs.argmax(dim=1) == labels).sum()
        total += loss(outputs, labels).double() * len(labels)
        answers += labels.numel()
    network.train(was_training)
    return right.item() / answers, total.item() / len(split)
