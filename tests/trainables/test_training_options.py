"""Clipping, bfloat16 and optimisers by dotted name; removed weights stay exactly zero under each."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import pruners
import trainables
from tests.trainables.configs import trial, weights
from trainables.config import BudgetConfig, CompressionConfig, TaskConfig, TrainingConfig
from trainables.execution.trial_setting import TrialSetting
from trainables.training import optimizer
from trainables.training.update import masked_parameters, update

USERS = "tests.trainables.users"
TASK = TaskConfig(f"{USERS}:blob_network", f"{USERS}:blobs")
INPUTS, LABELS = torch.randn(16, 8, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3
BATCH, LOSS = (INPUTS, LABELS), nn.functional.cross_entropy


def steps(
    network: nn.Module, training: TrainingConfig, count: int, masks: Any = None
) -> torch.optim.Optimizer:
    made = optimizer.make(network, training)
    for _ in range(count):
        update(network, made, LOSS, BATCH, training, masked_parameters(network, masks or {}))
    return made


OPTIONS = {
    "clipped": TrainingConfig(lr=0.5, weight_decay=0.1, clip_norm=0.05),
    "bf16": TrainingConfig(optimizer="adamw", lr=0.05, weight_decay=0.1, precision="bf16"),
    "rmsprop": TrainingConfig(
        optimizer="torch.optim.RMSprop",
        lr=0.01,
        weight_decay=0.1,
        optimizer_options={"momentum": 0.9, "centered": True},
    ),
    "adagrad": TrainingConfig(optimizer="torch.optim:Adagrad", lr=0.1, clip_norm=1.0),
    "own": TrainingConfig(optimizer="tests.trainables.users_optimizer:Restless", lr=0.1),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_removed_weights_stay_zero(name: str) -> None:
    network = trainables.build_network(TASK)
    mask = pruners.compress(network, "random", keep_ratio=0.3)
    masked = mask.apply(network)
    made = steps(masked, OPTIONS[name], 8, mask.masks)
    for parameter, kept in mask.masks.items():
        weight = masked.get_parameter(parameter)
        assert not weight[~kept].any() and weight[kept].ne(network.get_parameter(parameter)[kept]).any()
        for what, state in made.state[weight].items():
            if torch.is_tensor(state) and state.shape == weight.shape:
                assert not state[~kept].any(), what


def test_gradients_are_clipped_to_the_norm() -> None:
    network, same = trainables.build_network(TASK), trainables.build_network(TASK)
    training = TrainingConfig(lr=1.0, momentum=0, clip_norm=0.01)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    _, norm = update(network, optimizer.make(network, training), LOSS, BATCH, training, with_norm=True)
    moved = [after.detach() - old for after, old in zip(network.parameters(), before, strict=True)]
    assert float(torch.cat([step.flatten() for step in moved]).norm()) == pytest.approx(0.01, rel=1e-3)
    gradients = torch.autograd.grad(LOSS(same(INPUTS), LABELS), list(same.parameters()))
    whole = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    assert float(norm) == pytest.approx(float(whole), rel=1e-5) and float(whole) > 0.1
    for step, gradient in zip(moved, gradients, strict=True):
        torch.testing.assert_close(step, -gradient * 0.01 / whole, rtol=1e-3, atol=1e-6)


def test_bf16_computes_in_bfloat16_and_keeps_weights_and_loss_in_float32() -> None:
    network, training = (
        trainables.build_network(TASK),
        TrainingConfig(optimizer="adam", lr=0.01, precision="bf16"),
    )
    seen = []
    handle = network[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    value, _ = update(network, optimizer.make(network, training), LOSS, BATCH, training)
    handle.remove()
    assert seen == [torch.bfloat16] and value.dtype == torch.float32
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        outputs = trainables.build_network(TASK)(INPUTS)
    assert torch.equal(value, LOSS(outputs.float(), LABELS).detach())


def test_torchs_optimizer_is_torchs() -> None:
    network, same = trainables.build_network(TASK), trainables.build_network(TASK)
    training = TrainingConfig(
        optimizer="torch.optim.RMSprop", lr=0.01, weight_decay=0.1, optimizer_options={"alpha": 0.9}
    )
    steps(network, training, 5)
    reference = torch.optim.RMSprop(same.parameters(), lr=0.01, weight_decay=0.1, alpha=0.9)
    for _ in range(5):
        reference.zero_grad()
        LOSS(same(INPUTS), LABELS).backward()
        reference.step()
    assert all(
        torch.equal(one, other) for one, other in zip(network.parameters(), same.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (
            TrainingConfig(optimizer="torch.optim.RMSProp"),
            "torch.optim has no attribute 'RMSProp'; did you mean RMSprop?",
        ),
        (
            TrainingConfig(optimizer="torch.optim.LBFGS"),
            "optimizer torch.optim.LBFGS needs a closure at every step",
        ),
        (
            TrainingConfig(optimizer="torch.optim.Rprop", weight_decay=0.1),
            "optimizer torch.optim.Rprop: TypeError: .*weight_decay",
        ),
        (TrainingConfig(optimizer_options={"beta": 1}), "optimizer sgd: TypeError: .*'beta'"),
        (
            TrainingConfig(optimizer="adam", optimizer_options={"betas": [2, 0.9]}),
            "optimizer adam: ValueError: Invalid beta parameter",
        ),
        (TrainingConfig(optimizer="torch.nn:Linear"), "optimizer torch.nn:Linear: TypeError"),
    ],
)
def test_optimizers_that_cannot_be_are_explained(training: TrainingConfig, message: str) -> None:
    with pytest.raises(trainables.TaskError, match=message):
        optimizer.make(nn.Linear(2, 2), training)


def test_an_unknown_name_is_explained() -> None:
    with pytest.raises(ValueError, match=r"there is no optimizer 'adamv'; did you mean adam"):
        TrainingConfig(optimizer="adamv")


def test_each_option_is_a_training_of_its_own(tmp_path: Path) -> None:
    base = {
        "task": TASK,
        "compression": CompressionConfig("snip"),
        "budget": BudgetConfig(keep_ratio=0.5),
        "trainable": "prune_at_init",
    }
    trained = {}
    for name in ("clipped", "bf16", "own"):
        training = TrainingConfig(
            2,
            40,
            OPTIONS[name].optimizer,
            0.1,
            clip_norm=OPTIONS[name].clip_norm,
            precision=OPTIONS[name].precision,
        )
        config = trial(tmp_path, name, training=training, **base)
        told = trainables.run_trial(config)
        assert "failed" not in told, told["failed"]
        trained[name] = weights(config)["0.weight"]
        assert trained[name].dtype == torch.float32
    assert len({tuple(weight.flatten().tolist()) for weight in trained.values()}) == 3


def test_augmentation_of_what_is_no_image_is_refused(tmp_path: Path) -> None:
    training = TrainingConfig(1, 40, augment=("flip",))
    with pytest.raises(trainables.TaskError, match=r"training.augment changes images"):
        TrialSetting.of(trial(tmp_path, task=TASK, training=training))
    maps = "tests.trainables.users_tasks:half_map_data"
    with pytest.raises(trainables.TaskError, match=r"\(8, 8\) and label maps alike, .* shape \(4, 4\); let"):
        TrialSetting.of(trial(tmp_path, task=TaskConfig("n", maps), training=training))
