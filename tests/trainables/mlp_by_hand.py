"""A small network trained in numpy, its backward pass and momentum written out: what masked training is held
against.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainables import seeds
from trainables.config import TrainingConfig
from trainables.task.data.splits import TensorSplit
from trainables.training.step_plan import StepPlan

Array = NDArray[np.float64]
TRAINING = TrainingConfig(10, 16, lr=0.3, momentum=0.9, weight_decay=1e-3)
STEPS_PER_EPOCH, SEED = 3, 5
PLAN = StepPlan(TRAINING, SEED, STEPS_PER_EPOCH, TRAINING.epochs * STEPS_PER_EPOCH)


def network() -> nn.Sequential:
    torch.manual_seed(1)
    layers = nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3)
    return nn.Sequential(*layers).double()


def split() -> TensorSplit:
    inputs = torch.randn(48, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return TensorSplit(inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0.5).long())


def batches() -> Iterator[tuple[Array, NDArray[np.int64]]]:
    """The batches of all steps, by the order that training is promised to take."""
    data = split()
    for epoch in range(TRAINING.epochs):
        for part in seeds.permutation(48, SEED, epoch).split(TRAINING.batch_size):
            yield data.inputs[part].numpy(), data.labels[part].numpy()


@dataclass
class ByHand:
    """Weights, masks and momenta of the network's three layers; biases are never masked."""

    weights: list[Array]
    biases: list[Array]
    masks: list[NDArray[np.bool_]]
    momenta: list[Array] = field(default_factory=list)
    bias_momenta: list[Array] = field(default_factory=list)

    @classmethod
    def of(cls, module: nn.Sequential, masks: list[NDArray[np.bool_]]) -> "ByHand":
        layers = [module[place] for place in (0, 2, 4)]
        return cls(
            [layer.weight.detach().numpy().copy() for layer in layers],
            [layer.bias.detach().numpy().copy() for layer in layers],
            masks,
            [np.zeros(layer.weight.shape) for layer in layers],
            [np.zeros(layer.bias.shape) for layer in layers],
        )

    def gradients(self, inputs: Array, labels: NDArray[np.int64]) -> tuple[list[Array], list[Array]]:
        """The gradients of the mean cross entropy at every weight, removed ones too, and at the biases."""
        used = [weight * mask for weight, mask in zip(self.weights, self.masks, strict=True)]
        hidden = [inputs]
        for weight, bias in zip(used[:2], self.biases[:2], strict=True):
            hidden.append(np.tanh(hidden[-1] @ weight.T + bias))
        scores = hidden[-1] @ used[2].T + self.biases[2]
        shares = np.exp(scores - scores.max(1, keepdims=True))
        delta = shares / shares.sum(1, keepdims=True)
        delta[np.arange(len(labels)), labels] -= 1
        delta /= len(labels)
        of_weights, of_biases = [], []
        for layer in (2, 1, 0):
            of_weights.insert(0, delta.T @ hidden[layer])
            of_biases.insert(0, delta.sum(0))
            if layer:
                delta = (delta @ used[layer]) * (1 - hidden[layer] ** 2)
        return of_weights, of_biases

    def step(self, gradients: tuple[list[Array], list[Array]]) -> None:
        """SGD with momentum and weight decay; what the masks leave out is not updated."""
        for layer, (of_weight, of_bias) in enumerate(zip(*gradients, strict=True)):
            decayed = (of_weight + TRAINING.weight_decay * self.weights[layer]) * self.masks[layer]
            self.momenta[layer] = TRAINING.momentum * self.momenta[layer] + decayed
            self.weights[layer] -= TRAINING.lr * self.momenta[layer]
            of_bias = of_bias + TRAINING.weight_decay * self.biases[layer]
            self.bias_momenta[layer] = TRAINING.momentum * self.bias_momenta[layer] + of_bias
            self.biases[layer] -= TRAINING.lr * self.bias_momenta[layer]

    def put(self, layer: int, mask: NDArray[np.bool_]) -> None:
        """Change a layer's mask; the momenta of what went or came are gone."""
        self.momenta[layer][mask != self.masks[layer]] = 0
        self.masks[layer] = mask


def all_steps(state: ByHand, each: Callable[[int, ByHand, Array, NDArray[np.int64]], None]) -> list[ByHand]:
    """What the network is after each step, which ``each`` takes."""
    found = []
    for step, (inputs, labels) in enumerate(batches()):
        each(step, state, inputs, labels)
        arrays = [
            [one.copy() for one in kind]
            for kind in (state.weights, state.biases, state.masks, state.momenta, state.bias_momenta)
        ]
        found.append(ByHand(*arrays))
    return found
