"""A budget is kept at every step of retraining, whatever made the network small and whatever trains it."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import pruners
import trainables
from tests.trainables.configs import TASK
from trainables.config import TrainingConfig
from trainables.task.loss import resolve
from trainables.training import optimizer
from trainables.training.loop import train
from trainables.training.step_plan import StepPlan

TRAININGS = {
    "momentum and weight decay": TrainingConfig(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": TrainingConfig(optimizer="adam", lr=0.01, weight_decay=0.1),
    "adamw": TrainingConfig(optimizer="adamw", lr=0.01, weight_decay=0.1, clip_norm=1.0),
    "another of torch's": TrainingConfig(
        optimizer="torch.optim.RMSprop", lr=0.001, weight_decay=0.1, optimizer_options={"momentum": 0.9}
    ),
}
METHODS = ("magnitude", "alds", "ft")
STEPS = 9


def test_there_is_a_method_of_every_kind() -> None:
    known = pruners.methods()
    assert {known[name].kind for name in METHODS} == {method.kind for method in known.values()}


def moved(small: nn.Module, begun: dict[str, torch.Tensor]) -> bool:
    return all(not torch.equal(tensor, begun[name]) for name, tensor in small.named_parameters())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", TRAININGS)
def test_a_budget_is_kept_at_every_step(method: str, name: str) -> None:
    training, dense = TRAININGS[name], trainables.build_network(TASK)
    data, needed = trainables.load_data(TASK).train, pruners.methods()[method].needs
    example = trainables.example_input(TASK)
    artifact = pruners.compress(
        dense, method, keep_ratio=0.4, example=example if "example" in needed else None
    )
    small = artifact.apply(dense)
    begun = {name: tensor.detach().clone() for name, tensor in small.named_parameters()}
    masks = artifact.masks if isinstance(artifact, pruners.Mask) else {}
    limit = -(-5192 * 4 // 10)
    looked: list[int] = []

    def look(step: int) -> None:
        weights: dict[str, Any] = {n: p.detach() for n, p in small.named_parameters() if p.dim() > 1}
        assert sum(int(weight.count_nonzero()) for weight in weights.values()) <= artifact.params <= limit
        assert {n: weight.shape for n, weight in weights.items()} == {n: begun[n].shape for n in weights}
        assert all(not weights[n][~mask].any() for n, mask in masks.items())
        looked.append(step)

    train(
        small,
        optimizer.make(small, training),
        data,
        resolve("cross_entropy"),
        StepPlan(training, 0, 17, 17),
        0,
        STEPS,
        torch.device("cpu"),
        masks,
        {step: partial(look, step) for step in range(1, STEPS + 1)},
    )
    assert looked == list(range(1, STEPS + 1)) and moved(small, begun)
    assert artifact.capture(small).params == artifact.params
