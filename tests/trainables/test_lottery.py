"""Lottery tickets against a textbook loop, and no training done twice."""

import copy
import itertools
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import pruners
import trainables
from tests.trainables import processes
from tests.trainables.configs import TASK, USERS, comparable, same_bits, trial, weights
from trainables import seeds
from trainables.config import (
    CompressionConfig,
    LotteryConfig,
    TaskConfig,
    TrainingConfig,
    TransferConfig,
    TrialConfig,
    trial_config,
)
from trainables.execution.run import Run
from trainables.execution.trial_setting import TrialSetting
from trainables.task.loss import resolve
from trainables.task.metrics.classes import Accuracy
from trainables.training import optimizer
from trainables.training.evaluation import evaluate
from trainables.training.loop import train as train_steps
from trainables.training.step_plan import StepPlan
from trainables.trials.epochs_needed import epochs_needed
from trainables.trials.lottery_tracks import tracks_by_level

PERCEPTRON = TaskConfig("lenet_300_100", "digits")
TRAINING = TrainingConfig(3, 128, "adam", 3e-3)
CPU = torch.device("cpu")


def lottery(
    root: Path,
    key: str = "0",
    *,
    levels: int = 2,
    task: TaskConfig = PERCEPTRON,
    training: TrainingConfig = TRAINING,
    **changes: Any,
) -> TrialConfig:
    named = {
        name: changes.pop(name)
        for name in ("compression", "seeds", "keep_at", "directory")
        if name in changes
    }
    compression = named.pop("compression", CompressionConfig("magnitude", {"allocation": "layerwise"}))
    section = LotteryConfig(levels, **changes)
    return trial(
        root,
        key,
        task=task,
        training=training,
        compression=compression,
        budget=None,
        trainable="lottery",
        lottery=section,
        **named,
    )


def result(config: TrialConfig) -> dict:
    return json.loads((Path(config.directory) / "result.json").read_text())


def logged_steps(root: Path) -> int:
    lines = [
        line
        for path in (root / "store").rglob("training_log.jsonl")
        for line in path.read_text().splitlines()
    ]
    return sum(json.loads(line)["steps"] for line in lines)


def steps_per_epoch(task: TaskConfig = PERCEPTRON, batch_size: int = 128) -> int:
    return len(trainables.load_data(task).train) // batch_size + 1


def textbook_epoch(
    network: nn.Module, optimiser: torch.optim.Optimizer, masks: dict, order: torch.Tensor, rate: float
) -> None:
    data = trainables.load_data(PERCEPTRON).train
    for group in optimiser.param_groups:
        group["lr"] = rate
    for chosen in order.split(TRAINING.batch_size):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network.train()(data.inputs[chosen]), data.labels[chosen]).backward()
        optimiser.step()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name in masks:
                    parameter.mul_(masks[name])


def textbook_ticket(levels: int, rewind_epochs: int) -> list[float]:
    """Iterative magnitude pruning as a paper's loop writes it: 20 % of each layer a level; the accuracies."""
    network = trainables.build_network(PERCEPTRON, 0)
    accuracies, masks = [], {n: torch.ones_like(p) for n, p in network.named_parameters() if p.dim() == 2}
    early = copy.deepcopy(network.state_dict())
    for level in range(levels + 1):
        if level:
            for name, mask in masks.items():
                size = dict(network.named_parameters())[name].detach().abs() * mask
                keep = -(-mask.numel() * 8**level // 10**level)
                masks[name] = (
                    torch.zeros(mask.numel())
                    .index_fill(0, size.flatten().topk(keep).indices, 1)
                    .view_as(mask)
                )
            network.load_state_dict({n: t * masks.get(n, 1) for n, t in early.items()})
        optimiser = torch.optim.Adam(network.parameters(), TRAINING.lr)
        for epoch in range(rewind_epochs if level else 0, TRAINING.epochs):
            textbook_epoch(
                network,
                optimiser,
                masks,
                seeds.permutation(len(trainables.load_data(PERCEPTRON).train), 0, epoch),
                TRAINING.lr,
            )
            if not level and epoch + 1 == rewind_epochs:
                early = copy.deepcopy(network.state_dict())
        split, counters = trainables.load_data(PERCEPTRON).validation, {"accuracy": Accuracy(-100)}
        accuracies.append(evaluate(network, split, resolve("cross_entropy"), CPU, counters)["accuracy"])
    return accuracies


@pytest.mark.parametrize("rewind_epochs", [0, 1])
def test_a_ticket_is_what_a_textbook_loop_finds(tmp_path: Path, rewind_epochs: int) -> None:
    config = lottery(tmp_path, levels=4, rewind_to=f"{rewind_epochs}ep", keep_at=(f"{rewind_epochs}ep",))
    trainables.run_trial(config)
    found = [level["tracks"]["ticket"]["val/accuracy"] for level in result(config)["levels"]]
    assert found == pytest.approx(textbook_ticket(4, rewind_epochs), abs=1e-12)


def test_rewinding_inside_an_epoch_is_training_on_from_there(tmp_path: Path) -> None:
    config = lottery(tmp_path, levels=1, rewind_to="5it", rate=1e-6)
    trainables.run_trial(config)
    dense, ticket = (level["tracks"]["ticket"] for level in result(config)["levels"])
    per_epoch = steps_per_epoch()
    assert ticket["step"] == dense["step"] == 3 * per_epoch
    # five steps of the dense network were trained twice: nobody had asked for them to be kept
    assert logged_steps(tmp_path) == 3 * per_epoch + per_epoch + (3 * per_epoch - 5)
    kept = lottery(tmp_path / "kept", levels=1, rewind_to="5it", rate=1e-6, keep_at=("5it",))
    trainables.run_trial(kept)
    assert logged_steps(tmp_path / "kept") == 3 * per_epoch + (3 * per_epoch - 5)
    assert same_bits(weights(config), weights(kept))


def test_removed_weights_stay_zero_and_so_do_their_moments(tmp_path: Path) -> None:
    network, train = trainables.build_network(TASK), trainables.load_data(TASK).train
    training = TrainingConfig(1, 64, "adamw", 1e-2, weight_decay=0.1)
    mask = pruners.compress(network, "magnitude", keep_ratio=0.3)
    small = mask.apply(network)
    made = optimizer.make(small, training)
    train_steps(
        small, made, train, resolve("cross_entropy"), StepPlan(training, 0, 17, 17), 0, 17, CPU, mask.masks
    )
    for name, parameter in small.named_parameters():
        if name in mask.masks:
            removed = ~mask.masks[name]
            state = made.state[parameter]
            assert all(
                not tensor[removed].any() for tensor in (parameter, state["exp_avg"], state["exp_avg_sq"])
            )
            assert parameter[~removed].ne(network.get_parameter(name)[~removed]).any()


def test_levels_are_recorded_with_their_tracks_and_verdicts(tmp_path: Path) -> None:
    config = lottery(
        tmp_path, levels=3, controls=("reinit", "random"), seeds=(0, 1, 2), layer_rate={"output": 0.1}
    )
    trial_ = trainables.Trial(config)
    steps = []
    while not steps or not steps[-1]["final"]:
        steps.append(trial_.step())
    levels = result(config)["levels"]
    assert [step["level"] for step in steps] == [level["level"] for level in levels] == [0, 1, 2, 3]
    assert [step["step"] for step in steps] == [3 * steps_per_epoch() * n for n in (1, 2, 3, 4)]
    assert set(levels[2]["tracks"]) == {"ticket", "reinit", "random"} == set(levels[2]["verdict"])
    assert levels[0]["density"] == 1 and levels[2]["layers"]["5"]["density"] == pytest.approx(0.81, abs=1e-3)
    assert levels[3]["layers"]["1"]["density"] == pytest.approx(0.512, abs=1e-3)
    for level in levels[1:]:
        pairs = [
            (one["tracks"]["ticket"]["val/accuracy"], dense["tracks"]["ticket"]["val/accuracy"])
            for one, dense in zip(level["replicates"], levels[0]["replicates"], strict=True)
        ]
        assert level["verdict"]["ticket"]["difference"] == pytest.approx(sum(a - b for a, b in pairs) / 3)
        assert level["verdict"]["ticket"]["seeds"] == 3
    assert steps[-1]["val/accuracy"] == levels[3]["tracks"]["ticket"]["val/accuracy"]
    assert steps[-1]["reinit/val/accuracy"] == levels[3]["tracks"]["reinit"]["val/accuracy"]
    for seed in (0, 1, 2):
        exported = pruners.load(Path(config.directory) / "network" / f"seed-{seed}")
        assert isinstance(exported, pruners.Mask) and exported.layers["1"].density == pytest.approx(
            0.512, abs=1e-3
        )
    assert trainables.read_test(config, "trial")["test/accuracy"] > 0.5


def test_a_finished_lottery_answers_without_work(tmp_path: Path) -> None:
    config = lottery(tmp_path)
    first, before = trainables.run_trial(config), logged_steps(tmp_path)
    assert trainables.run_trial(config) == first and logged_steps(tmp_path) == before


def grid(root: Path) -> list[TrialConfig]:
    points = itertools.product(("0it", "1ep"), (0.2, 0.4), ("rewind", "learning_rate", "fine_tune"))
    return [
        lottery(
            root,
            str(number),
            levels=4,
            training=TrainingConfig(2, 256, "sgd", 0.05),
            rewind_to=rewind_to,
            rate=rate,
            mode=mode,
            controls=("reinit", "random"),
            seeds=(0, 1),
            keep_at=("0it", "1ep"),
        )
        for number, (rewind_to, rate, mode) in enumerate(points)
    ]


def distinct_epochs(
    whole: int = 2,
    rewind_points: tuple[int, ...] = (0, 1),
    rates: int = 2,
    levels: int = 4,
    modes: int = 3,
    seeds: int = 2,
) -> int:
    """Counted by hand: what differs in nothing that was done to it is one trajectory."""
    rests = sum(whole - point for point in rewind_points)
    chains = modes * len(rewind_points)
    tickets = modes * levels * rests
    reinit = whole * (1 + (levels - 1) * chains)  # the first level's mask comes from the dense network alone
    random = rests + (levels - 1) * modes * rests
    return seeds * (whole + rates * (tickets + reinit + random))


def test_a_grid_trains_each_distinct_trajectory_once(tmp_path: Path) -> None:
    configs = grid(tmp_path)
    metrics = [trainables.run_trial(config) for config in configs]
    per_epoch = steps_per_epoch(batch_size=256)
    assert logged_steps(tmp_path) == distinct_epochs() * per_epoch
    assert sum(one["epochs_trained"] for one in metrics) == epochs_needed(configs).shared == distinct_epochs()
    assert (
        epochs_needed(configs).alone
        == sum(epochs_needed([config]).shared for config in configs)
        > 1.2 * distinct_epochs()
    )


def test_a_second_trial_in_the_same_process_tells_as_much_as_the_first(tmp_path: Path) -> None:
    first, second = lottery(tmp_path, "a", levels=1), lottery(tmp_path, "b", levels=1)
    for config in (first, second):
        trainables.run_trial(config)
    assert comparable_levels(first) == comparable_levels(second)
    assert "early_stop/step" in result(second)["levels"][0]["tracks"]["ticket"]


def test_a_transferred_ticket_takes_its_mask_and_early_weights(tmp_path: Path) -> None:
    elsewhere = TransferConfig(training=TrainingConfig(2, 64, "sgd", 0.05))
    config = lottery(tmp_path, transfer=elsewhere, controls=("random",))
    trainables.run_trial(config)
    levels = result(config)["levels"]
    assert [set(level["tracks"]) for level in levels] == [{"ticket", "transfer"}] + [
        {"ticket", "random", "transfer"}
    ] * 2
    assert levels[2]["tracks"]["transfer"]["step"] == 2 * steps_per_epoch(batch_size=64)
    assert levels[2]["verdict"]["transfer"]["difference"] == pytest.approx(
        levels[2]["tracks"]["transfer"]["val/accuracy"] - levels[0]["tracks"]["transfer"]["val/accuracy"]
    )


def test_a_ticket_moves_to_another_data_set(tmp_path: Path) -> None:
    """Blobs have 8 inputs and 3 classes: what differs in shape is the target's own and dense.

    The layer between keeps its mask.
    """
    source = TaskConfig(f"{USERS}:pixels_network", "digits")
    target = TaskConfig(f"{USERS}:blob_network_like_pixels", f"{USERS}:blobs")
    config = lottery(tmp_path, levels=1, task=source, rate=0.5, transfer=TransferConfig(task=target))
    setting = TrialSetting.of(config)
    elsewhere, recipe = tracks_by_level(config, setting)[1]["transfer"]
    moved = Run(elsewhere, recipe[:1], 0).finish()
    ticket = Run(setting, tracks_by_level(config, setting)[1]["ticket"][1][:-1], 0).finish()
    assert isinstance(moved.artifact, pruners.Mask) and list(moved.artifact.layers) == ["3"]
    assert torch.equal(moved.module.get_parameter("3.weight"), ticket.module.get_parameter("3.weight"))
    assert moved.artifact.layers["3"].density == pytest.approx(0.5, abs=0.01)
    assert torch.equal(
        moved.module.get_parameter("1.weight"), trainables.build_network(target, 0).get_parameter("1.weight")
    )
    trainables.run_trial(config)
    assert result(config)["levels"][1]["tracks"]["transfer"]["val/accuracy"] > 0.5


def test_a_grid_killed_in_the_middle_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole, broken = (grid(tmp_path / name)[:4] for name in ("whole", "broken"))
    for config in whole:
        trainables.run_trial(config)
    plain = [trial_config.dump_python(config, mode="json") for config in broken]
    for _ in range(3):  # two workers at once, both killed as soon as they have trained a little more
        before = snapshots(tmp_path / "broken")
        workers = [processes.start(processes.run_trials, plain[first::2]) for first in (0, 1)]
        deadline = time.monotonic() + 60
        while snapshots(tmp_path / "broken") < before + 12 and time.monotonic() < deadline:
            time.sleep(0.02)
        for worker in workers:
            worker.kill()
            worker.join()
    for config in broken:
        trainables.run_trial(config)
    per_epoch = steps_per_epoch(batch_size=256)
    assert (
        logged_steps(tmp_path / "whole")
        <= logged_steps(tmp_path / "broken")
        <= logged_steps(tmp_path / "whole") + 3 * 2 * per_epoch
    )
    for one, other in zip(whole, broken, strict=True):
        assert comparable_levels(one) == comparable_levels(other)
        assert all(same_bits(weights(one, seed), weights(other, seed)) for seed in (0, 1))


def snapshots(root: Path) -> int:
    # not rglob: it would look into a snapshot that a worker drops in that moment
    return len(list(root.glob("store/*/*/epoch-*")))


def comparable_levels(config: TrialConfig) -> list[dict]:
    return [
        {name: level[name] for name in ("density", "layers", "verdict", "replicates", "history")}
        for level in result(config)["levels"]
    ]


def test_stability_is_the_error_between_two_orders(tmp_path: Path) -> None:
    config = lottery(tmp_path, levels=1, stability=True)
    trainables.run_trial(config)
    for level in result(config)["levels"]:
        (line,) = level["stability"]
        assert len(line["errors"]) == 30
        assert line["errors"][0] == pytest.approx(1 - level["tracks"]["ticket"]["val/accuracy"])
        assert line["errors"][-1] == pytest.approx(1 - level["tracks"]["second_order"]["val/accuracy"])
        assert line["barrier"] == pytest.approx(
            max(line["errors"]) - (line["errors"][0] + line["errors"][-1]) / 2
        )
        assert level["tracks"]["ticket"]["val/loss"] != level["tracks"]["second_order"]["val/loss"]


def test_an_early_bird_stops_its_watched_training(tmp_path: Path) -> None:
    training = TrainingConfig(9, 128, "sgd", 0.01, momentum=0.0)
    config = trial(
        tmp_path,
        task=PERCEPTRON,
        training=training,
        compression=CompressionConfig("magnitude"),
        trainable="early_bird",
    )
    metrics = trainables.run_trial(replace(config, dense_reference=False))
    assert (
        metrics["compress/settled_at"] == 6 * steps_per_epoch()
    )  # the first mask that five others went before
    assert metrics["epochs_trained"] == 6 + 9
    assert metrics["compress/density"] == pytest.approx(0.5, abs=1e-4)


def test_an_early_bird_s_control_is_drawn_when_the_early_bird_is(tmp_path: Path) -> None:
    training = TrainingConfig(9, 128, "sgd", 0.01, momentum=0.0)
    settled = []
    for control in ("none", "random"):
        compression = CompressionConfig("magnitude", {"allocation": "layerwise"}, control=control)
        config = trial(
            tmp_path,
            control,
            task=PERCEPTRON,
            training=training,
            compression=compression,
            trainable="early_bird",
        )
        settled.append(trainables.run_trial(replace(config, dense_reference=False))["compress/settled_at"])
    assert settled[0] == settled[1]


def test_pruning_at_init_keeps_its_mask_and_shares_its_dense_network(tmp_path: Path) -> None:
    def run(key: str, method: str, control: str = "none", **changes: Any) -> dict:
        compression = CompressionConfig(method, {}, 0, control=control, scoring_per_class=3)
        config = trial(
            tmp_path,
            key,
            training=TrainingConfig(2, 128, lr=0.05),
            compression=compression,
            keep_ratio=0.1,
            trainable="prune_at_init",
        )
        metrics = trainables.run_trial(replace(config, **changes))
        assert "failed" not in metrics, metrics
        zeros = sum(int((t == 0).sum()) for n, t in weights(config).items() if n in ("0.weight", "5.weight"))
        assert zeros >= 0.9 * (8 * 9 + 10 * 64 * 8) - 1
        return metrics

    plain = run("a", "magnitude")
    assert plain["epochs_trained"] == 2 + 2 and plain["compress/density"] == pytest.approx(0.1, abs=1e-3)
    assert "compress/layer/5/density" in plain and plain["dense/val/accuracy"] > plain["val/accuracy"] - 0.5
    others = [
        run("b", "magnitude", "shuffle"),
        run("c", "magnitude", "reinit"),
        run("d", "snip"),
        run("e", "snip", dense_reference=False),
    ]
    assert [one["epochs_trained"] for one in others] == [2, 2, 2, 0]
    assert len({comparable(one)["val/loss"] for one in (plain, *others)}) == 4
    assert "dense/val/accuracy" not in others[-1]


def test_what_needs_a_mask_says_so(tmp_path: Path) -> None:
    config = lottery(tmp_path, compression=CompressionConfig("svd"))
    assert (
        trainables.run_trial(config)["failed"]
        == "rewinding belongs to methods that remove single weights; method svd does not."
    )
