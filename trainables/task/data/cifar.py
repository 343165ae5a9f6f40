"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 50,000 + 10,000 colour images of 32x32, through torchvision."""

import torch
from torch import Tensor
from torchvision import datasets

from trainables.errors import TaskError
from trainables.task.data.data import Data, from_pixels, stratified


def cifar10(*, root: str = "data", download: bool = False) -> Data:
    """Load CIFAR-10: 45,000 images to train, 5,000 to validate, the 10,000 to test; ten classes.

    Inputs are (3, 32, 32). ``root`` is the folder that torchvision keeps the set in; ``download`` lets it
    fetch what is missing.
    """
    return _cifar(datasets.CIFAR10, "CIFAR-10", root, download, num_classes=10)


def cifar100(*, root: str = "data", download: bool = False) -> Data:
    """Load CIFAR-100, cut and stored like `cifar10`, with a hundred classes."""
    return _cifar(datasets.CIFAR100, "CIFAR-100", root, download, num_classes=100)


def _cifar(source: type, title: str, root: str, download: bool, num_classes: int) -> Data:
    try:
        known, unseen = (source(root, train=train, download=download) for train in (True, False))
    except Exception as error:
        raise TaskError(
            f"{title} is not usable at {root!r} ({' '.join(str(error).split())}): set data_options.root to "
            "the folder "
            "that torchvision keeps it in, or data_options.download to true."
        ) from error
    images, labels = _tensors(known)
    validation, train = stratified(labels, 0.1)
    return from_pixels(
        [*((images[part], labels[part]) for part in (train, validation)), _tensors(unseen)], num_classes
    )


def _tensors(dataset: datasets.CIFAR10) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(dataset.targets)
