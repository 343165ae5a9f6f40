"""Training steps per second of the in-memory loop against a plain torch DataLoader loop, in one run on one thread.

Same network (LeNet-300-100), optimiser, batch size and images; the ratio is what counts, not the times.

    python bench/training.py [--epochs 2] [--optimizer sgd|adam]
"""

import argparse
import json
import time

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.transforms.functional import to_pil_image

import trainables
from trainables import loss, optimizer
from trainables.config import TaskConfig, TrainingConfig
from trainables.course import Course
from trainables.device import reproducible
from trainables.training import steps_per_epoch, train

CPU = torch.device("cpu")
BATCH = 60
TASK = TaskConfig("lenet_300_100", "fashion_mnist")


class Pictures(torch.utils.data.Dataset):
    """Images as torchvision's data sets hold them: PIL images turned into normalised tensors one by one."""

    def __init__(self, inputs: torch.Tensor, labels: torch.Tensor):
        low, high = inputs.min(), inputs.max()
        self.images = [to_pil_image((image - low) / (high - low)) for image in inputs]
        self.labels = labels.tolist()
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def ours(training: TrainingConfig) -> float:
    network, split = trainables.build_network(TASK), trainables.load_data(TASK).train
    optimiser, criterion = optimizer.make(network, training), loss.resolve("cross_entropy")
    steps = steps_per_epoch(len(split), BATCH)
    course = Course(training, 0, steps, training.epochs * steps)
    train(network, optimiser, split, criterion, course, 0, steps, CPU)
    started = time.perf_counter()
    for epoch in range(training.epochs):
        train(network, optimiser, split, criterion, course, epoch * steps, (epoch + 1) * steps, CPU)
    return training.epochs * steps / (time.perf_counter() - started)


def plain(training: TrainingConfig, pictures: Pictures) -> float:
    network = trainables.build_network(TASK)
    optimiser = (
        torch.optim.SGD(network.parameters(), training.lr, training.momentum)
        if training.optimizer == "sgd"
        else torch.optim.Adam(network.parameters(), training.lr)
    )
    loader, steps = DataLoader(pictures, BATCH, shuffle=True), 0
    started = time.perf_counter()
    for _ in range(training.epochs):
        for inputs, labels in loader:
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs), labels).backward()
            optimiser.step()
            steps += 1
    return steps / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
    given = parser.parse_args()
    training = TrainingConfig(given.epochs, BATCH, given.optimizer, lr=0.1 if given.optimizer == "sgd" else 1.2e-3)
    pictures = trainables.load_data(TASK).train
    with reproducible(threads=1):
        slow, fast = plain(training, Pictures(pictures.inputs, pictures.labels)), ours(training)
    print(json.dumps({"optimizer": given.optimizer, "plain_steps_per_s": slow, "ours_steps_per_s": fast, "ratio": fast / slow}, indent=1))


if __name__ == "__main__":
    main()
