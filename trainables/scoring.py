"""The training images that a method scores weights on."""

import torch
from torch import Tensor

from trainables.data import Data
from trainables.data.splits import Batch
from trainables.seeds import generator

_READ = 256  # images read at once while looking for a class


def sample(data: Data, per_class: int, seed: int, device: torch.device) -> Batch:
    """``per_class`` training images of every class as one batch, class after class: GraSP's code cuts it into halves by class.

    A class that has fewer gives all it has. Labels that are not one a image (maps of labels) are not told apart: then it is as many
    images of any kind. Not augmented, the same for the same seed.
    """
    order = torch.randperm(len(data.train), generator=generator(seed, "scoring"))
    images: list[list[Tensor]] = [[] for _ in range(data.num_classes)]
    labels: list[list[Tensor]] = [[] for _ in range(data.num_classes)]
    for inputs, answers in data.train.batches(order, _READ, device):
        if answers.dim() != 1:
            wanted = min(per_class * data.num_classes, len(order))
            return next(iter(data.train.batches(order[:wanted], wanted, device)))
        for image, answer in zip(inputs, answers, strict=True):
            if len(found := images[int(answer)]) < per_class:
                found.append(image)
                labels[int(answer)].append(answer)
        if all(len(found) == per_class for found in images):
            break
    return torch.stack([i for found in images for i in found]), torch.stack([a for found in labels for a in found])
