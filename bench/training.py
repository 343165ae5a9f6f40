"""Training steps per second of the in-memory loop against a DataLoader's of torchvision's data set.

All in one run on one thread. Same network (LeNet-300-100), optimiser, batch size and images; with
--keep-ratio both train under the same mask, which the plain loop multiplies into the weights after each
step. The ratio is what counts, not the times.

    python -m bench.training [--epochs 2] [--optimizer sgd|adam] [--keep-ratio 0.2]
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

import pruners
import trainables
from trainables.config import TaskConfig, TrainingConfig
from trainables.task import loss
from trainables.task.data.fashion_mnist import DEBIAN
from trainables.training import optimizer
from trainables.training.device import reproducible
from trainables.training.loop import steps_per_epoch, train
from trainables.training.step_plan import StepPlan

CPU = torch.device("cpu")
BATCH = 60
TASK = TaskConfig("lenet_300_100", "fashion_mnist")


def fashion_mnist(root: Path) -> datasets.FashionMNIST:
    """Unpack torchvision's own data set below ``root`` as it wants it, with the usual transforms."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in DEBIAN.glob("*.gz"):
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return datasets.FashionMNIST(
        str(root), transform=transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.2860, 0.3530)])
    )


def prepared(training: TrainingConfig, keep_ratio: float) -> tuple[nn.Module, Mapping[str, Tensor]]:
    network = trainables.build_network(TASK)
    if keep_ratio == 1:
        return network, {}
    mask = pruners.compress(network, "magnitude", keep_ratio=keep_ratio)
    return mask.apply(network), mask.masks


def ours(training: TrainingConfig, keep_ratio: float) -> float:
    (network, masks), split = prepared(training, keep_ratio), trainables.load_data(TASK).train
    optimiser, criterion = optimizer.make(network, training), loss.resolve("cross_entropy")
    steps = steps_per_epoch(len(split), BATCH)
    step_plan = StepPlan(training, 0, steps, training.epochs * steps)
    train(network, optimiser, split, criterion, step_plan, 0, 100, CPU, masks)
    started = time.perf_counter()
    for epoch in range(training.epochs):
        train(network, optimiser, split, criterion, step_plan, epoch * steps, (epoch + 1) * steps, CPU, masks)
    return training.epochs * steps / (time.perf_counter() - started)


def plain(training: TrainingConfig, keep_ratio: float, images: datasets.FashionMNIST) -> float:
    network, masks = prepared(training, keep_ratio)
    masked = [(network.get_parameter(name), mask.float()) for name, mask in masks.items()]
    optimiser = (
        torch.optim.SGD(network.parameters(), training.lr, training.momentum)
        if training.optimizer == "sgd"
        else torch.optim.Adam(network.parameters(), training.lr)
    )
    loader, steps = DataLoader(Subset(images, range(55_000)), BATCH, shuffle=True), 0
    started = time.perf_counter()
    for _ in range(training.epochs):
        for inputs, labels in loader:
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs), labels).backward()
            optimiser.step()
            with torch.no_grad():
                for parameter, mask in masked:
                    parameter.mul_(mask)
            steps += 1
    return steps / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
    parser.add_argument("--keep-ratio", type=float, default=1.0)
    given = parser.parse_args()
    training = TrainingConfig(
        given.epochs, BATCH, given.optimizer, lr=0.1 if given.optimizer == "sgd" else 1.2e-3
    )
    with reproducible(threads=1), tempfile.TemporaryDirectory() as folder:
        slow, fast = (
            plain(training, given.keep_ratio, fashion_mnist(Path(folder))),
            ours(training, given.keep_ratio),
        )
    ratios = {"plain_steps_per_s": slow, "ours_steps_per_s": fast, "ratio": fast / slow}
    print(json.dumps({"optimizer": given.optimizer, "keep_ratio": given.keep_ratio, **ratios}, indent=1))


if __name__ == "__main__":
    main()
