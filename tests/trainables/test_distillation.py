"""Distillation: the loss by hand, and trials that retrain with it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import trainables
from tests.trainables.configs import TRAINING, comparable, same_bits, trial, weights
from trainables.config import CompressionConfig, DistillationConfig, LotteryConfig, TrialConfig
from trainables.errors import TaskError
from trainables.execution.identity import stage_identity
from trainables.recipes.lottery import recipes_by_level
from trainables.stages import Compress, Train
from trainables.training.distillation import Distillation
from trainables.training.update import update

TAUGHT = DistillationConfig(weight=0.7, temperature=3.0)


def distilled(root: Path, config: DistillationConfig | None, **changes: Any) -> TrialConfig:
    compression = CompressionConfig("svd", {"refit": "none"}, 128, retrain_epochs=2, distillation=config)
    return trial(root, compression=compression, keep_ratio=0.2, **changes)


@pytest.mark.parametrize("positions", [(), (2, 3)], ids=["classes", "maps of classes"])
def test_the_loss_is_hinton_s(positions: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Dropout(0.5)) if positions else nn.Linear(3, 5)
    inputs = torch.randn(4, 3, *positions)
    outputs = torch.randn(4, 5, *positions, requires_grad=True)
    found = Distillation(teacher, TAUGHT).loss(torch.tensor(1.25), outputs, inputs)

    def softened(scores: torch.Tensor) -> np.ndarray:
        rows = np.moveaxis(scores.detach().double().numpy(), 1, -1).reshape(-1, 5) / 3.0
        powers = np.exp(rows - rows.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    p, q = softened(teacher.eval()(inputs)), softened(outputs)
    divergence = np.mean(np.sum(p * np.log(p / q), axis=1))
    assert found.item() == pytest.approx(0.3 * 1.25 + 0.7 * 9 * divergence, rel=1e-5)
    found.backward()
    rows = np.moveaxis(outputs.grad.double().numpy(), 1, -1).reshape(-1, 5)
    np.testing.assert_allclose(rows, 0.7 * 3 * (q - p) / len(q), atol=1e-6)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_teacher_s_own_outputs_add_nothing() -> None:
    torch.manual_seed(0)
    teacher, inputs = nn.Linear(3, 5), torch.randn(4, 3)
    whole = Distillation(teacher, DistillationConfig(weight=1.0))
    assert whole.loss(torch.tensor(2.0), teacher(inputs), inputs).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("outputs", [torch.randn(4, 1), torch.randn(4), (torch.randn(4, 5),)])
def test_outputs_without_classes_are_refused(outputs: Any) -> None:
    with pytest.raises(TaskError, match="needs a network that gives class scores"):
        Distillation(nn.Linear(3, 5), TAUGHT).loss(torch.tensor(1.0), outputs, torch.randn(4, 3))


def test_trials_share_the_dense_network_and_are_the_same_twice(tmp_path: Path) -> None:
    plain, taught = distilled(tmp_path, None), distilled(tmp_path, TAUGHT, key="1")
    first, second = trainables.run_trial(plain), trainables.run_trial(taught)
    assert (first["epochs_trained"], second["epochs_trained"]) == (5, 2)
    again = distilled(tmp_path / "again", TAUGHT, key="1")
    assert comparable(trainables.run_trial(again)) == comparable(second)
    assert same_bits(weights(again), weights(taught)) and not same_bits(weights(plain), weights(taught))


def test_what_is_learned_is_the_teacher_and_not_the_labels() -> None:
    torch.manual_seed(0)
    teacher, inputs = nn.Linear(3, 5), torch.randn(64, 3)
    labels = torch.randint(5, (64,))
    divergences = {}
    for weight in (0.0, 1.0):
        student = nn.Linear(3, 5)
        optimizer = torch.optim.Adam(student.parameters(), 0.05)
        taught = Distillation(teacher, DistillationConfig(weight, 2.0)) if weight else None
        for _ in range(150):
            update(
                student,
                optimizer,
                nn.functional.cross_entropy,
                (inputs, labels),
                TRAINING,
                distillation=taught,
            )
        with torch.no_grad():
            p, q = teacher(inputs).log_softmax(1), student(inputs).log_softmax(1)
        divergences[weight] = float((p.exp() * (p - q)).sum(1).mean())
    assert divergences[1.0] < 1e-3 < 0.05 < divergences[0.0]


def test_addresses_of_before_stay_and_others_differ() -> None:
    plain = Train(0, 4, 4)
    assert "distillation" not in stage_identity(plain)
    identities = [
        stage_identity(replace(plain, distillation=config))
        for config in (None, TAUGHT, replace(TAUGHT, weight=0.5), replace(TAUGHT, temperature=1.0))
    ]
    assert all(one != other for i, one in enumerate(identities) for other in identities[:i])


def test_every_level_of_a_lottery_follows_the_dense_network(tmp_path: Path) -> None:
    lottery = LotteryConfig(levels=2, controls=("reinit", "random"))
    config = trial(
        tmp_path,
        compression=CompressionConfig("magnitude", distillation=TAUGHT),
        lottery=lottery,
        trainable="lottery",
    )
    _, *levels = recipes_by_level(config, steps_per_epoch=5)
    for tracks in levels:
        assert tracks.keys() == {"ticket", "reinit", "random"}
        for recipe in tracks.values():
            compressed = next(i for i, stage in enumerate(recipe) if isinstance(stage, Compress))
            trains = [stage for stage in recipe if isinstance(stage, Train)]
            assert compressed == 1 and trains[0].distillation is None
            assert all(train.distillation == TAUGHT for train in trains[1:])
