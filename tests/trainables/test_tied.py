"""Weights under two names: masks of them train, rewind, move, are saved and read, whichever comes first."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model

import pruners
import trainables
from tests.trainables.configs import USERS, trial
from tests.trainables.users import TiedDecoder
from trainables.config import (
    BudgetConfig,
    CompressionConfig,
    LotteryConfig,
    TaskConfig,
    TrainingConfig,
    TransferConfig,
)
from trainables.execution.network import Network, load, save
from trainables.training.optimizer import make
from trainables.training.update import masked_parameters, update

CPU = torch.device("cpu")
FIRST = pytest.mark.parametrize("first", ["encoder", "head"])
NAMES = {"head.weight", "attention.in_proj_weight", "attention.out_proj.weight"}


def task(first):
    return TaskConfig(f"{USERS}:TiedDecoder", f"{USERS}:sentences", {"first": first})


def exported(config, first):
    folder = Path(config.directory) / "network" / "seed-0"
    artifact, module = pruners.load(folder), load(folder, config.task, CPU).module
    assert module.encoder.weight is module.head.weight
    assert artifact.masks.keys() == NAMES
    for name, kept in artifact.masks.items():
        assert not module.get_parameter(name)[~kept].any() and module.get_parameter(name)[kept].all()
    # whatever the weights of the network that it is applied to
    same = artifact.apply(TiedDecoder(first))
    assert torch.equal(same.encoder.weight, module.head.weight)
    return artifact


@FIRST
def test_a_tied_ticket_trains_rewinds_and_moves(first, tmp_path):
    config = trial(
        tmp_path,
        task=task(first),
        training=TrainingConfig(2, 16, "adam", 1e-2),
        compression=CompressionConfig("magnitude", {"allocation": "layerwise"}),
        budget=None,
        trainable="lottery",
        lottery=LotteryConfig(
            1,
            rate=0.5,
            rewind_to="1it",
            controls=("reinit", "random"),
            transfer=TransferConfig(task=task("head")),
        ),
    )
    trainables.run_trial(config)
    levels = json.loads((Path(config.directory) / "result.json").read_text())["levels"]
    assert set(levels[1]["tracks"]) == {"ticket", "reinit", "random", "transfer"}
    assert exported(config, first).layers["head"].params == 24


@FIRST
@pytest.mark.parametrize("method", ["grasp", "mlprune", "synflow"])
def test_a_tied_network_pruned_before_training(method, first, tmp_path):
    config = trial(
        tmp_path,
        task=task(first),
        training=TrainingConfig(1, 16, "sgd", 0.1, weight_decay=1e-3),
        compression=CompressionConfig(method, {"min_layer_keep": 1}),
        budget=BudgetConfig(keep_ratio=0.3),
        trainable="prune_at_init",
    )
    trainables.run_trial(config)
    assert exported(config, first).params == 92  # of 6 * 8 + 4 * 8 * 8


@FIRST
def test_a_masked_step_moves_both_names_alike(first):
    network = TiedDecoder(first)
    mask = pruners.compress(network, "random", keep_ratio=0.5)
    mask.apply_(network)
    training = TrainingConfig(1, 16, "sgd", 0.1)
    tokens = torch.arange(6).repeat(2, 4).T
    before = network.head.weight.detach().clone()
    batch, masked = (tokens, tokens[:, 0]), masked_parameters(network, mask.masks)
    update(network, make(network, training), torch.nn.functional.cross_entropy, batch, training, masked)
    moved = network.head.weight.detach() != before
    assert network.encoder.weight is network.head.weight
    assert torch.equal(moved, mask.masks["head.weight"])


@FIRST
def test_a_dense_tied_network_is_saved_and_starts_another(first, tmp_path):
    network = TiedDecoder(first)
    save(Network(network), tmp_path)
    again = load(tmp_path, task(first), CPU).module
    assert again.encoder.weight is again.head.weight and torch.equal(again.head.weight, network.head.weight)
    save_model(network, str(tmp_path / "checkpoint.safetensors"))
    config = TaskConfig(
        f"{USERS}:TiedDecoder",
        f"{USERS}:sentences",
        {"first": first},
        checkpoint=str(tmp_path / "checkpoint.safetensors"),
    )
    started = trainables.build_network(config)
    assert (
        torch.equal(started.encoder.weight, network.head.weight)
        and started.encoder.weight is started.head.weight
    )
