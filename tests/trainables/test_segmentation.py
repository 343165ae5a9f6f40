"""DeepLabV3 trained, compressed and evaluated on a folder in VOC's layout, as a trial does it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

import pruners
import trainables
from tests.trainables.configs import trial
from tests.trainables.voc import write_voc
from trainables.config import BudgetConfig, CompressionConfig, ScheduleConfig, TaskConfig, TrainingConfig
from trainables.execution.network import load
from trainables.task import networks
from trainables.task.metrics import BUILT_IN

CPU = torch.device("cpu")
DEEPLAB, LRASPP = "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"


@st.composite
def told_and_there(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Draw predicted and true classes of some pixels, many of these void, some classes absent."""
    classes, pixels = draw(st.integers(2, 7)), draw(st.integers(1, 60))
    one = st.lists(st.integers(0, classes - 1), min_size=pixels, max_size=pixels)
    void = draw(st.lists(st.booleans(), min_size=pixels, max_size=pixels))
    there = np.where(void, 255, np.array(draw(one)))
    return np.array(draw(one)), there, classes


@given(told_and_there(), st.integers(1, 60))
def test_mean_iou_is_that_of_the_confusion_matrix(
    drawn: tuple[np.ndarray, np.ndarray, int], batch: int
) -> None:
    told, there, classes = drawn
    scores = torch.nn.functional.one_hot(torch.tensor(told), classes).float()[:, :, None]
    metric, labels = BUILT_IN["mean_iou"](255), torch.tensor(there)[:, None]
    for start in range(0, len(told), batch):
        metric.update(scores[start : start + batch], labels[start : start + batch])
    confusion = np.zeros((classes, classes))
    for predicted, true in zip(told, there, strict=True):
        if true != 255:
            confusion[true, predicted] += 1
    union = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    if not union.any():
        assert math.isnan(metric.compute())
        return
    expected = (confusion.diagonal()[union > 0] / union[union > 0]).mean()
    assert metric.compute() == pytest.approx(expected, abs=1e-12)
    counted = there != 255
    assert expected == pytest.approx(
        sklearn.jaccard_score(there[counted], told[counted], average="macro"), abs=1e-12
    )


def test_a_segmentation_network_is_decomposed() -> None:
    torch.manual_seed(0)
    network = networks.build(f"torchvision:{LRASPP}", {}, (3, 32, 32), 5).eval()
    images = torch.randn(1, 3, 32, 32)
    artifact = pruners.compress(network, "alds", keep_ratio=0.3)
    small = artifact.apply(network)
    with torch.no_grad():
        assert small(images)["out"].shape == (1, 5, 32, 32) == network(images)["out"].shape
    dense, cost = pruners.cost(network, images), pruners.cost(small, images)
    assert cost.params < 0.35 * dense.params and cost.multiply_adds < dense.multiply_adds


def test_deeplabs_sizes_are_torchvisions_and_the_papers() -> None:
    def size(**options: Any) -> int:
        with torch.device("meta"):
            network = networks.build("torchvision:deeplabv3_resnet50", options, (3, 64, 64), 21)
        return sum(parameter.numel() for parameter in network.parameters())

    assert size(aux_loss=True) == 42_004_074  # as torchvision documents its trained weights
    assert size() == 39_638_869


@pytest.mark.parametrize(
    ("name", "method", "heads"), [(DEEPLAB, "svd", {"out", "aux"}), (LRASPP, "snip", {"out"})]
)
def test_a_whole_trial(tmp_path: Path, name: str, method: str, heads: set[str]) -> None:
    write_voc(tmp_path / "voc", {"train": 12, "val": 4, "test": 2}, side=64, classes=3)
    task = TaskConfig(
        f"torchvision:{name}",
        "voc_folder",
        {"aux_loss": True} if "aux" in heads else {},
        {"root": str(tmp_path / "voc"), "size": 64, "num_classes": 3},
        metrics=("mean_iou", "accuracy"),
    )
    training = TrainingConfig(1, 6, lr=0.02, schedule=ScheduleConfig("poly"), augment=("crop", "flip"))
    compression = CompressionConfig(method, recalibrate_bn=8, retrain_epochs=1, calibration_images=0)
    config = trial(
        tmp_path,
        task=task,
        training=training,
        compression=compression,
        budget=BudgetConfig(keep_ratio=0.5),
    )
    told = trainables.run_trial(config)
    assert "failed" not in told, told["failed"]
    network = load(tmp_path / "trials/0/network/seed-0", task, CPU).module.eval()
    images, labels = next(trainables.load_data(task).validation.in_order(4, CPU))
    with torch.no_grad():
        outputs = network(images)
    assert set(outputs) == heads
    kept = labels != 255
    classes = outputs["out"].argmax(1)[kept]
    assert told["val/mean_iou"] == pytest.approx(
        sklearn.jaccard_score(labels[kept], classes, average="macro"), abs=1e-9
    )
    assert told["val/accuracy"] == pytest.approx(sklearn.accuracy_score(labels[kept], classes), abs=1e-9)
    assert told["val/loss"] == pytest.approx(
        float(torch.nn.functional.cross_entropy(outputs["out"], labels, ignore_index=255)), rel=1e-5
    )
    assert told["compress/params_kept"] == pytest.approx(0.5, abs=0.02)
    assert 0 <= trainables.read_test(config, "trial")["test/mean_iou"] <= 1
