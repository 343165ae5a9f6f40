"""Every metric against scikit-learn, however a split is cut into batches; and the user's own."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy
import pytest
import torch
from sklearn import metrics as sklearn
from torch import Tensor

import trainables
from trainables.config import MetricConfig, TaskConfig
from trainables.task.metrics import BUILT_IN, metrics_of
from trainables.task.metrics.users import UsersMetric

USERS = "tests.trainables.users_metrics"
CUTS = (0, 1, 40, 41, 97, 150)
DRAW = torch.Generator().manual_seed(3)


def in_batches(metric: Any, outputs: Tensor, labels: Tensor, cuts: tuple[int, ...] = CUTS) -> float:
    for start, stop in pairwise(cuts):
        metric.update(outputs[start:stop], labels[start:stop])
    return metric.compute()


def classes(count: int = 150, classes: int = 7, shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    """Outputs that are often right, and labels without the last class; most batches lack some classes."""
    labels = torch.randint(classes - 1, (count, *shape), generator=DRAW)
    hint = 1.2 * torch.nn.functional.one_hot(labels, classes).movedim(-1, 1)
    return torch.randn(count, classes, *shape, generator=DRAW) + hint, labels


ORACLES: dict[str, Callable[[numpy.ndarray, numpy.ndarray], float]] = {
    "accuracy": lambda outputs, labels: sklearn.accuracy_score(labels, outputs.argmax(1)),
    "top5_accuracy": lambda outputs, labels: sklearn.top_k_accuracy_score(
        labels, outputs, k=5, labels=range(outputs.shape[1])
    ),
    "f1": lambda outputs, labels: sklearn.f1_score(labels, outputs.argmax(1), average="macro"),
    "mean_iou": lambda outputs, labels: sklearn.jaccard_score(labels, outputs.argmax(1), average="macro"),
}


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("cuts", [CUTS, (0, 150), tuple(range(151))], ids=["uneven", "whole", "single"])
def test_classes_as_scikit_learn_counts_them(name: str, cuts: tuple[int, ...]) -> None:
    outputs, labels = classes()
    expected = ORACLES[name](outputs.numpy(), labels.numpy())
    assert 0.2 < expected < 0.99
    assert in_batches(BUILT_IN[name](-100), outputs, labels, cuts) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ORACLES)
def test_label_maps_without_what_counts_for_nothing(name: str) -> None:
    outputs, labels = classes(150, 7, (3, 4))
    labels[torch.rand(labels.shape, generator=DRAW) < 0.3] = 255
    counted = labels != 255
    flat = outputs.movedim(1, -1)[counted]
    expected = ORACLES[name](flat.numpy(), labels[counted].numpy())
    assert in_batches(BUILT_IN[name](255), outputs, labels) == pytest.approx(expected, abs=1e-12)
    assert numpy.isnan(in_batches(BUILT_IN[name](255), outputs, torch.full_like(labels, 255)))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_several_labels_of_an_example(dtype: torch.dtype) -> None:
    labels = (torch.rand(150, 6, generator=DRAW) < 0.2).to(dtype)
    labels[:, 5] = 0  # never there, and below never told
    outputs = torch.randn(150, 6, generator=DRAW) + 2 * labels - 1
    outputs[:, 5] = -1
    truth, told = labels.numpy().astype(int), (outputs > 0).numpy()
    f1 = sklearn.f1_score(truth, told, average="macro", zero_division=0)
    assert in_batches(BUILT_IN["f1"](-100), outputs, labels) == pytest.approx(f1, abs=1e-12)
    assert in_batches(BUILT_IN["accuracy"](-100), outputs, labels) == pytest.approx(
        (truth == told).mean(), abs=1e-12
    )


def test_one_yes_or_no() -> None:
    labels, outputs = torch.randint(2, (150,), generator=DRAW), torch.randn(150, 1, generator=DRAW)
    told = (outputs > 0).flatten().numpy()
    assert in_batches(BUILT_IN["f1"](-100), outputs, labels) == pytest.approx(
        sklearn.f1_score(labels.numpy(), told), abs=1e-12
    )
    accuracy = sklearn.accuracy_score(labels.numpy(), told)
    assert in_batches(BUILT_IN["accuracy"](-100), outputs.flatten(), labels.float()) == pytest.approx(
        accuracy, abs=1e-12
    )


@pytest.mark.parametrize("shape", [(150,), (150, 1), (150, 3)])
def test_values_as_scikit_learn_counts_them(shape: tuple[int, ...]) -> None:
    labels, outputs = torch.randn(shape, generator=DRAW), torch.randn(shape, generator=DRAW)
    truth, told = labels.numpy().reshape(150, -1), outputs.numpy().reshape(150, -1)
    if shape == (150, 1):
        labels = labels.flatten()  # one output for each label
    mae, mse = (
        sklearn.mean_absolute_error(truth, told),
        sklearn.mean_squared_error(truth.astype(float), told.astype(float)),
    )
    assert in_batches(BUILT_IN["mae"](-100), outputs, labels) == pytest.approx(mae, rel=1e-6)
    assert in_batches(BUILT_IN["rmse"](-100), outputs, labels) == pytest.approx(mse**0.5, rel=1e-6)


def test_fewer_than_five_classes_are_all_in_the_top_five() -> None:
    outputs, labels = classes(150, 4)
    assert in_batches(BUILT_IN["top5_accuracy"](-100), outputs, labels) == 1


@pytest.mark.parametrize(
    ("name", "outputs", "labels", "message"),
    [
        ("mae", torch.zeros(4, 2), torch.zeros(4), r"outputs have the shape \(4, 2\) and labels \(4,\)"),
        ("accuracy", torch.zeros(4, 2), torch.zeros(4), "metric accuracy needs class scores"),
        ("top5_accuracy", torch.zeros(4, 2), torch.zeros(4, 2), "metric top5_accuracy needs class scores"),
        (
            "mean_iou",
            {"scores": torch.zeros(4, 2)},
            torch.zeros(4),
            "metric mean_iou needs .* outputs that are dict",
        ),
        (
            "f1",
            torch.zeros(4, 2, 8, 8),
            torch.zeros(4, 4, 4).long(),
            r"\(4, 2, 8, 8\) for integer labels of shape \(4, 4, 4\)",
        ),
    ],
)
def test_what_a_metric_cannot_measure(name: str, outputs: Any, labels: Tensor, message: str) -> None:
    with pytest.raises(trainables.TaskError, match=message):
        BUILT_IN[name](-100).update(outputs, labels)


def test_a_users_function_sees_the_whole_split_and_a_class_counts_up() -> None:
    outputs, labels = classes()
    told, there = outputs.argmax(1).numpy(), numpy.unique(labels.numpy())
    whole = sklearn.recall_score(labels.numpy(), told, average="macro", labels=there)
    for name in ("balanced", "CountedUp"):
        [metric] = metrics_of(TaskConfig("n", "d", metrics=(f"{USERS}:{name}",)))
        assert (metric.name, metric.goal) == (name, "maximize")
        assert in_batches(metric.counter(-100), outputs, labels) == pytest.approx(whole, abs=1e-12)


def test_a_users_function_gets_outputs_of_any_form() -> None:
    metric = UsersMetric(
        "own", lambda outputs, labels: float((outputs["a"] + outputs["b"] - labels).abs().max())
    )
    for start in (0, 2):
        metric.update({"a": torch.ones(2), "b": torch.full((2,), 2.0)}, torch.tensor([3.0, 4.0 + start]))
    assert metric.compute() == 3.0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("good", "gave str, not a number"),
        (None, "gave NoneType"),
        (torch.zeros(2), "gave Tensor"),
        (True, "gave bool"),
    ],
)
def test_a_users_function_that_gives_no_number(value: Any, message: str) -> None:
    metric = UsersMetric("pkg:own", lambda outputs, labels: value)
    metric.update(torch.zeros(1), torch.zeros(1))
    with pytest.raises(trainables.TaskError, match=f"metric pkg:own {message}"):
        metric.compute()


def test_metrics_follow_from_the_loss_unless_named() -> None:
    def names(**task: Any) -> list[tuple[str, str]]:
        return [(metric.name, metric.goal) for metric in metrics_of(TaskConfig("n", "d", **task))]

    assert names() == names(loss="nll") == names(loss="own:loss") == [("accuracy", "maximize")]
    assert names(loss="mse") == [("mae", "minimize")]
    assert names(loss="bce_with_logits") == [("f1", "maximize")]
    given = ("mean_iou", MetricConfig(f"{USERS}:cost", "minimize"), {"name": "rmse"})
    assert names(metrics=given) == [("mean_iou", "maximize"), ("cost", "minimize"), ("rmse", "minimize")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("acuracy",), "there is no metric 'acuracy'; did you mean accuracy?"),
        (("f1", f"{USERS}:f1"), "the name 'f1' is taken"),
        ((f"{USERS}:loss",), "the name 'loss' is taken"),
    ],
)
def test_metrics_that_cannot_be_are_explained(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(trainables.TaskError, match=message):
        metrics_of(TaskConfig("n", "d", metrics=names))
