"""Whole trials on tasks that are no classification of one tensor: forms of data, losses, metrics, methods."""

from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn import metrics as sklearn

import trainables
from tests.trainables.configs import trial
from trainables.config import BudgetConfig, CompressionConfig, TaskConfig, TrainingConfig, TrialConfig
from trainables.execution.network import load
from trainables.results.result import result_of

TASKS = "tests.trainables.users_tasks"
USERS = "tests.trainables.users_metrics"
CPU = torch.device("cpu")
LINE = TaskConfig(f"{TASKS}:line_network", f"{TASKS}:line_data", loss="mse", metrics=("mae", "rmse"))
LABELS = TaskConfig(f"{TASKS}:line_network", f"{TASKS}:label_data", {"outputs": 5}, loss="bce_with_logits")
MAPS = TaskConfig(f"{TASKS}:map_network", f"{TASKS}:map_data", metrics=("mean_iou", "accuracy"))
PAIRS = TaskConfig(
    f"{TASKS}:PairNetwork", f"{TASKS}:streamed_pairs", metrics=("accuracy", f"{USERS}:balanced")
)
TRAINING = TrainingConfig(15, 20, "adam", 0.02)


def small(root: Path, task: TaskConfig, method: str = "svd", **changes: Any) -> TrialConfig:
    compression = CompressionConfig(method, recalibrate_bn=16, retrain_epochs=3, scoring_per_class=20)
    given = {"training": TRAINING, "compression": compression, "budget": BudgetConfig(keep_ratio=0.6)}
    return trial(root, task=task, **given | changes)


def outputs(config: TrialConfig, split: str) -> tuple[Any, torch.Tensor]:
    """Outputs and labels of the trial's compressed network on a split."""
    network = load(Path(config.directory) / "network/seed-0", config.task, CPU).module.eval()
    part = getattr(trainables.load_data(config.task), split)
    inputs, labels = next(part.in_order(len(part), CPU))
    with torch.no_grad():
        return network(**inputs) if isinstance(inputs, dict) else network(inputs), labels


@pytest.mark.parametrize("method", ["svd", "snip"])
@pytest.mark.parametrize("task", [LINE, LABELS, MAPS, PAIRS], ids=["values", "labels", "maps", "pairs"])
def test_a_whole_trial(tmp_path: Path, task: TaskConfig, method: str) -> None:
    config = small(tmp_path, task, method)
    told = trainables.run_trial(config)
    assert "failed" not in told, told["failed"]
    found, labels = outputs(config, "validation")
    ended = result_of(config)
    assert ended is not None
    # a guess among classes is known where each example has one
    classes = {"examples": len(labels), "classes": found.shape[1]} if task is PAIRS else {}
    assert ended.validation == classes
    if task is LINE:
        assert told["val/mae"] == pytest.approx(
            sklearn.mean_absolute_error(labels, found.flatten()), rel=1e-5
        )
        assert told["dense/val/mae"] < 0.2 < float(labels.abs().mean()) / 2
    if task is LABELS:
        assert told["val/f1"] == pytest.approx(sklearn.f1_score(labels, found > 0, average="macro"))
        assert told["dense/val/f1"] > 0.7
    if task is MAPS:
        kept = labels != 255
        assert 0 < int(kept.sum()) < labels.numel()
        loss = torch.nn.functional.cross_entropy(found, labels, ignore_index=255)
        assert told["val/loss"] == pytest.approx(float(loss), rel=1e-5)
        told_classes = found.argmax(1)[kept]
        assert told["val/mean_iou"] == pytest.approx(
            sklearn.jaccard_score(labels[kept], told_classes, average="macro")
        )
        assert told["val/accuracy"] == pytest.approx(sklearn.accuracy_score(labels[kept], told_classes))
        assert told["dense/val/mean_iou"] > 0.7
    if task is PAIRS:
        assert told["val/balanced"] == pytest.approx(sklearn.balanced_accuracy_score(labels, found.argmax(1)))
        assert told["dense/val/balanced"] > 0.7
    reading = trainables.read_test(config, "trial")
    assert {
        f"test/{name.rpartition(':')[2]}" for name in [m.name for m in task.metrics] or ["f1"]
    } <= reading.keys()


def test_data_in_every_form_are_the_same_examples() -> None:
    forms = [
        trainables.load_data(TaskConfig("n", f"{TASKS}:{name}"))
        for name in ("streamed_pairs", "loaded_pairs", "held_pairs")
    ]
    assert [form.num_classes for form in forms] == [2, 2, 2]
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    for batches in zip(*(form.train.batches(order, 25, CPU) for form in forms), strict=True):
        (inputs, labels), *others = batches
        assert set(inputs) == {"left", "right"}
        for other, told in others:
            assert torch.equal(labels, told) and all(
                torch.equal(inputs[name], other[name]) for name in inputs
            )


@pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning"
)  # Python 3.12 warns of what DataLoader does by default
def test_workers_change_nothing_even_where_examples_are_drawn() -> None:
    split = trainables.load_data(TaskConfig("n", f"{TASKS}:noisy_pairs")).train
    order = torch.arange(40)
    alone, by_two = (list(split.read_by(workers).batches(order, 16, CPU, seed=5)) for workers in (0, 2))
    assert all(
        torch.equal(one["left"], other["left"]) for (one, _), (other, _) in zip(alone, by_two, strict=True)
    )
    again, anew = (next(iter(split.batches(order, 16, CPU, seed=seed))) for seed in (5, 6))
    assert torch.equal(again[0]["left"], alone[0][0]["left"]) and not torch.equal(
        anew[0]["left"], again[0]["left"]
    )


def test_another_metric_is_measured_and_nothing_is_trained_again(tmp_path: Path) -> None:
    first = small(tmp_path, PAIRS)
    trainables.run_trial(first)
    other = TaskConfig(PAIRS.network, PAIRS.data, metrics=("f1", f"{USERS}:balanced", f"{USERS}:cost"))
    second = small(tmp_path, other, directory=str(tmp_path / "trials/second"))
    told = trainables.run_trial(second)
    assert told["epochs_trained"] == 0
    found, labels = outputs(second, "validation")
    assert told["val/f1"] == pytest.approx(sklearn.f1_score(labels, found.argmax(1), average="macro"))
    assert told["val/cost"] == pytest.approx(1 - sklearn.accuracy_score(labels, found.argmax(1)))
    assert "val/accuracy" not in told and told["dense/val/f1"] > 0.7
    written = result_of(second)
    assert written
    assert ["val/cost" in epoch for epoch in written.history] == [False, False, True]
    assert all("val/balanced" in epoch for epoch in written.history)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (TaskConfig(LINE.network, LINE.data), "loss cross_entropy needs whole numbers as labels"),
        (
            TaskConfig(LINE.network, LINE.data, {"outputs": 3}, loss="mse"),
            r"outputs have the shape \(1, 3\) and labels \(1,\)",
        ),
        (
            TaskConfig(LINE.network, LABELS.data, {"outputs": 4}, loss="bce_with_logits"),
            r"\(1, 4\) and labels \(1, 5\)",
        ),
        (
            TaskConfig(LINE.network, LABELS.data, {"outputs": 5}),
            r"returns a tensor of shape \(1, 5\) for one input; logits",
        ),
        (
            TaskConfig(MAPS.network, MAPS.data, {"classes": 2}, metrics=("mae",)),
            "an output for each label is needed",
        ),
        (
            TaskConfig(LINE.network, LINE.data, loss="mse", metrics=("top5_accuracy",)),
            "metric top5_accuracy needs class scores",
        ),
        (
            TaskConfig(LINE.network, PAIRS.data),
            r"cannot take inputs of .*streamed_pairs, shape \(4,\) and \(3,\): TypeError",
        ),
        (
            TaskConfig(PAIRS.network, f"{TASKS}:loaded_pairs", data_options={"sampler": True}),
            "a DataLoader with a WeightedRandomSampler",
        ),
    ],
)
def test_what_does_not_belong_together_is_explained(task: TaskConfig, message: str) -> None:
    with pytest.raises(trainables.TaskError, match=message):
        trainables.build_network(task)


def test_outputs_and_labels_may_both_be_flat_or_both_columns() -> None:
    for options in ({}, {"squeeze": True}):
        task = TaskConfig(LINE.network, LINE.data, options, loss="huber")
        trainables.build_network(task)
    assert trainables.load_data(LINE).num_classes is None
    built_in = trainables.build_network(
        TaskConfig("mlp", LABELS.data, {"widths": [8]}, loss="bce_with_logits")
    )
    assert built_in(torch.zeros(2, 6)).shape == (2, 5)
