"""Learning compression: the penalty and its aims by hand, and trials that alternate."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pruners
import trainables
from tests.trainables.configs import TRAINING, comparable, same_bits, trial, weights
from trainables.config import (
    BudgetConfig,
    CompressionConfig,
    DistillationConfig,
    LearningCompressionConfig,
    TrialConfig,
)
from trainables.errors import Refused
from trainables.execution.compression import compressing
from trainables.execution.identity import stage_identity
from trainables.execution.run import Run
from trainables.execution.trial_setting import TrialSetting
from trainables.recipes import RECIPES
from trainables.stages import Compress, Penalty, RecalibrateBN, Train
from trainables.training.learning_compression import QuadraticPenalty, aims
from trainables.training.step_plan import StepPlan
from trainables.training.update import update

SECTION = LearningCompressionConfig(steps=3, first_penalty=0.3, growth=6.0)


def learned(root: Path, section: LearningCompressionConfig = SECTION, **changes: Any) -> TrialConfig:
    given: dict[str, Any] = {
        "compression": CompressionConfig("l_rank", {"refit": "none"}, 128, retrain_epochs=1),
        "trainable": "learning_compression",
        "keep_ratio": 0.3,
    }
    return trial(root, learning_compression=section, **given | changes)


def run_of(config: TrialConfig, seed: int = 0) -> Run:
    setting = TrialSetting.of(config)
    return Run(setting, RECIPES[config.trainable].stages(config, setting.steps_per_epoch), seed)


def test_the_stages_end_where_the_schedule_ends(tmp_path: Path) -> None:
    """3 epochs of training; 4 steps of 2 epochs are longer, 2 steps of 1 its last two."""
    config = learned(tmp_path, LearningCompressionConfig(4, 2, 0.5, 3.0, True))
    first, *steps, compress, bn, retrain = RECIPES["learning_compression"].stages(config, 10)
    assert first == Train(0, 30, 30) and (bn, retrain) == (RecalibrateBN(128), Train(20, 30, 30))
    assert isinstance(compress, Compress) and compress.method == "l_rank"
    assert [(s.start, s.stop, s.horizon) for s in steps if isinstance(s, Train)] == [
        (0, 20, 80), (20, 40, 80), (40, 60, 80), (60, 80, 80),
    ]  # fmt: skip
    penalties = [s.penalty for s in steps if isinstance(s, Train) and s.penalty]
    assert [p.weight for p in penalties] == [0.5, 1.5, 4.5, 13.5]
    assert all(p.compress == compress and p.multipliers for p in penalties)
    _, one, two, *_ = RECIPES["learning_compression"].stages(
        learned(tmp_path, LearningCompressionConfig(2)), 10
    )
    assert isinstance(one, Train) and isinstance(two, Train)
    assert (one.start, one.stop, two.stop, two.horizon) == (10, 20, 30, 30)


def test_between_trainings_nothing_is_refitted(tmp_path: Path) -> None:
    compression = CompressionConfig("pca", {"refit": "layer", "ridge": 0.1, "exclude": ["head"]})
    _, step, *_, compress, _ = RECIPES["learning_compression"].stages(
        learned(tmp_path, compression=compression), 10
    )
    assert isinstance(step, Train) and step.penalty and isinstance(compress, Compress)
    assert step.penalty.compress.options == {"refit": "none", "exclude": ["head"]}
    assert step.penalty.compress.calibration_images == compress.calibration_images == 512
    assert compress.options == compression.options


def test_a_penalty_beyond_all_numbers_is_refused(tmp_path: Path) -> None:
    for growth in (1e308, 1e4):
        config = learned(tmp_path, LearningCompressionConfig(100, growth=growth))
        with pytest.raises(Refused, match=r"learning_compression\.growth: in 100 steps by"):
            RECIPES["learning_compression"].stages(config, 10)


def test_the_penalty_s_gradient_is_the_distance_times_its_weight() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    drawn_to = {"0.weight": torch.randn(3, 4), "1.weight": torch.randn(2, 3)}
    penalty = QuadraticPenalty(network, drawn_to, 1.7)
    value = penalty.value()
    value.backward()
    for name, aim in drawn_to.items():
        parameter = network.get_parameter(name)
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, 1.7 * (parameter.detach() - aim))
        at = parameter.data.view(-1)
        for i in range(len(at)):  # finite differences of a square are exact but for rounding
            before, changed = at[i].item(), []
            for step in (1e-3, -1e-3):
                at[i] = before + step
                changed.append(penalty.value().item())
            at[i] = before
            assert parameter.grad.view(-1)[i].item() == pytest.approx((changed[0] - changed[1]) / 2e-3)
    assert network[0].bias.grad is None
    squares = sum(((network.get_parameter(n).detach() - a) ** 2).sum().item() for n, a in drawn_to.items())
    assert value.item() == pytest.approx(0.85 * squares)


def test_an_update_descends_loss_and_penalty_together() -> None:
    torch.manual_seed(0)
    network, inputs, labels = nn.Linear(3, 5), torch.randn(8, 3), torch.randint(5, (8,))
    aim, before = torch.randn(5, 3), network.weight.detach().clone()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    expected = nn.functional.cross_entropy(network(inputs), labels)
    (gradient,) = torch.autograd.grad(expected, network.weight)
    penalty = QuadraticPenalty(network, {"weight": aim}, 0.5)
    value, _ = update(
        network, optimizer, nn.functional.cross_entropy, (inputs, labels), TRAINING, penalty=penalty
    )
    assert value.item() == pytest.approx(expected.item() + 0.25 * (before - aim).square().sum().item())
    torch.testing.assert_close(network.weight.detach(), before - 0.1 * (gradient + 0.5 * (before - aim)))


def nearest(matrix: np.ndarray, rank: int) -> np.ndarray:
    u, s, v = np.linalg.svd(matrix)
    return (u[:, :rank] * s[:rank]) @ v[:rank]


@pytest.mark.parametrize("multipliers", [False, True])
def test_aims_are_those_of_the_augmented_lagrangian(multipliers: bool) -> None:
    """Written out for one matrix: W0 dense, W1 and W2 as two trainings left it, before a third."""
    torch.manual_seed(1)
    trained = [nn.Linear(6, 5).double() for _ in range(3)]
    compress, mu = Compress("l_rank", BudgetConfig(keep_ratio=0.5)), [0.5, 2.0, 8.0]

    def project(module: nn.Module, stage: Compress) -> Mapping[str, Tensor]:
        assert stage is compress
        return {"weight": torch.from_numpy(nearest(module.weight.detach().numpy(), 2))}

    penalties = [Penalty(compress, one, multipliers) for one in mu]
    found = aims(zip(penalties, trained, strict=True), project)["weight"].numpy()
    w = [one.weight.detach().numpy() for one in trained]
    if not multipliers:
        np.testing.assert_allclose(found, nearest(w[2], 2), atol=1e-12)
        return
    theta1 = nearest(w[1], 2)
    beta1 = -mu[0] * (w[1] - theta1)
    theta2 = nearest(w[2] - beta1 / mu[1], 2)
    beta2 = beta1 - mu[1] * (w[2] - theta2)
    np.testing.assert_allclose(found, theta2 + beta2 / mu[2], atol=1e-12)
    assert np.abs(found - nearest(w[2], 2)).max() > 1e-3


def test_no_step_is_longer_than_the_penalty_allows() -> None:
    plan = StepPlan(replace(TRAINING, lr=0.05), 0, 10, 30, largest_rate=1 / 40)
    free = StepPlan(replace(TRAINING, lr=0.05), 0, 10, 30)
    rates = [(plan.rate(step), free.rate(step)) for step in range(30)]
    assert all(rate == min(without, 0.025) for rate, without in rates)
    assert max(without for _, without in rates) > 0.025


@pytest.mark.parametrize("multipliers", [False, True])
def test_the_weights_come_to_a_network_within_the_budget(tmp_path: Path, multipliers: bool) -> None:
    run = run_of(learned(tmp_path, replace(SECTION, multipliers=multipliers)))
    dense, distances = run.up_to(1), []
    compress = next(stage for stage in run.recipe if isinstance(stage, Compress))
    for count in range(1, 5):
        module = run.up_to(count).module
        drawn_to = compressing.projected_weights(module, compress, run.setting, 0)
        own = {name: module.get_parameter(name).detach() for name in drawn_to}
        left = sum(float((own[name] - aim).square().sum()) for name, aim in drawn_to.items())
        distances.append(math.sqrt(left / sum(float(one.square().sum()) for one in own.values())))
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.25 * distances[0], distances
    small = run.finish()
    assert isinstance(small.artifact, pruners.Decomposition)
    assert small.artifact.params <= small.artifact.budget
    assert small.artifact.budget == int(0.3 * pruners.NetworkShape(dense.module).params)


def test_trials_share_their_steps_and_are_the_same_twice(tmp_path: Path) -> None:
    config = learned(tmp_path)
    first = trainables.run_trial(config)
    assert first["epochs_trained"] == 3 + 3 + 1
    longer = learned(tmp_path, replace(SECTION, steps=3, growth=6.0), key="1", compression=replace(
        config.compression, retrain_epochs=2))  # fmt: skip
    assert trainables.run_trial(longer)["epochs_trained"] == 2
    other = learned(tmp_path, replace(SECTION, growth=3.0), key="2")
    assert trainables.run_trial(other)["epochs_trained"] == 2 + 1  # the first step is the same
    again = learned(tmp_path / "again")
    assert comparable(trainables.run_trial(again)) == comparable(first)
    assert same_bits(weights(again), weights(config)) and not same_bits(weights(other), weights(config))
    # the dense network alone is shared with trials that compress at once
    at_once = learned(tmp_path, key="3", trainable="compress")
    assert trainables.run_trial(at_once)["epochs_trained"] == 1
    assert not same_bits(weights(at_once), weights(config))


@pytest.mark.parametrize("multipliers", [False, True])
def test_a_training_that_is_cut_off_goes_on_to_the_same_bits(tmp_path: Path, multipliers: bool) -> None:
    section = replace(SECTION, steps=2, epochs=2, multipliers=multipliers)
    whole = run_of(learned(tmp_path / "whole", section)).finish()
    config = learned(tmp_path / "cut", section)
    for stage in (2, 3):  # after the first of the two epochs of either step
        run = run_of(config)
        while (epoch := run.advance()) and (epoch.stages, epoch.done) != (stage, 1):
            pass
        assert epoch
        run.close()
    resumed = run_of(config)
    assert same_bits(resumed.finish().module.state_dict(), whole.module.state_dict())


def test_retraining_may_follow_the_dense_network(tmp_path: Path) -> None:
    plain = learned(tmp_path)
    compression = replace(plain.compression, distillation=DistillationConfig())
    run = run_of(replace(plain, compression=compression))
    assert [stage.distillation is not None for _, stage in run.trains()] == [False] * 4 + [True]
    teacher = run._teacher(run.trains()[-1][1])
    assert teacher is not None
    assert same_bits(teacher.module.state_dict(), run.up_to(1).module.state_dict())


def test_addresses_of_before_stay_and_others_differ() -> None:
    plain, compress = Train(0, 4, 4), Compress("l_rank", BudgetConfig(keep_ratio=0.5))
    assert "penalty" not in stage_identity(plain)
    identities = [
        stage_identity(replace(plain, penalty=penalty))
        for penalty in (
            None,
            Penalty(compress, 0.5),
            Penalty(compress, 0.6),
            Penalty(compress, 0.5, True),
            Penalty(replace(compress, method="svd"), 0.5),
        )
    ]
    assert all(one != other for i, one in enumerate(identities) for other in identities[:i])
