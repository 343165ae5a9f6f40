"""The training examples that a method scores weights on."""

from typing import Any

import torch
from torch import Tensor

from pruners.network.inputs import join_inputs, take_inputs
from trainables.seeds import derive, generator
from trainables.task.data import Data
from trainables.task.data.splits import Batch

_READ = 256  # examples read at once while looking for a class


def sample(data: Data, per_class: int, seed: int, device: torch.device) -> Batch:
    """Draw ``per_class`` training examples of every class as one batch, class after class.

    GraSP's code cuts it into halves by class. A class that has fewer gives all it has. Where a label is no
    single class (values, several labels, label maps), it is ``per_class`` examples in all. Not augmented, the
    same for the same seed.
    """
    order = torch.randperm(len(data.train), generator=generator(seed, "scoring"))
    drawn = derive(seed, "scoring")
    labels = data.train.first()[1]
    if data.num_classes is None or labels.dim() != 1:
        wanted = min(per_class, len(order))
        return next(iter(data.train.batches(order[:wanted], wanted, device, drawn)))
    found: list[list[tuple[Any, Tensor]]] = [[] for _ in range(data.num_classes)]
    for inputs, answers in data.train.batches(order, _READ, device, drawn):
        for place, answer in enumerate(answers.tolist()):
            if len(found[answer]) < per_class:
                one = slice(place, place + 1)
                found[answer].append((take_inputs(inputs, one), answers[one]))
        if all(len(members) == per_class for members in found):
            break
    chosen = [example for members in found for example in members]
    return join_inputs([inputs for inputs, _ in chosen]), torch.cat([answer for _, answer in chosen])
