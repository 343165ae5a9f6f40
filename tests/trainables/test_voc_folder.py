"""Folders in VOC's layout, and random changes to images and their label maps alike."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import trainables
from tests.trainables.voc import write_voc
from trainables.task import data
from trainables.task.data import Data, voc_folder
from trainables.task.data.splits import StreamedSplit, TensorSplit
from trainables.training.augment import augment_batch

CPU = torch.device("cpu")


def load(root: Path, **options: int) -> Data:
    return data.load("voc_folder", {"root": str(root), **options})


def sizes(examples: Data) -> list[int]:
    return [len(split) for split in (examples.train, examples.validation, examples.test)]


def test_images_and_masks_are_cropped_at_the_centre_alike(tmp_path: Path) -> None:
    names = write_voc(tmp_path, {"train": 4, "val": 2, "test": 3}, side=32, classes=5)
    examples = load(tmp_path, size=32, num_classes=5)
    assert sizes(examples) == [4, 2, 3] and examples.num_classes == 5
    assert (examples.input_shape, examples.labels_nothing) == ((3, 32, 32), 255)
    images, maps = next(examples.validation.in_order(2, CPU))
    pixels = np.stack(
        [np.array(Image.open(tmp_path / "JPEGImages" / f"{name}.jpg"))[:, 8:-8] for name in names["train"]]
    ).astype(np.float64)
    mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    for image, classes, name in zip(images, maps, names["val"], strict=True):
        pixels = np.array(Image.open(tmp_path / "JPEGImages" / f"{name}.jpg"))[:, 8:-8]
        np.testing.assert_allclose(image.permute(1, 2, 0), (pixels - mean) / std, atol=1e-4)
        mask = np.array(Image.open(tmp_path / "SegmentationClass" / f"{name}.png"))[:, 8:-8]
        assert np.array_equal(classes.numpy(), mask) and 255 in mask and mask.min() < 5


def test_resized_masks_hold_classes_only(tmp_path: Path) -> None:
    write_voc(tmp_path, {"train": 6, "val": 1}, side=32, classes=5)
    examples = load(tmp_path, size=17, num_classes=5)
    for split in (examples.train, examples.validation, examples.test):
        assert set(split.labels.unique().tolist()) <= {*range(5), 255}


def test_missing_splits_are_a_tenth_of_train_each(tmp_path: Path) -> None:
    names = write_voc(tmp_path, {"train": 20}, side=8)["train"]
    split = voc_folder._names(tmp_path)
    assert [len(part) for part in split] == [16, 2, 2]
    assert sorted(name for part in split for name in part) == names
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("train_0003\n")
    assert [len(part) for part in voc_folder._names(tmp_path)] == [18, 1, 2]
    assert all(part == sorted(part) for part in split) and voc_folder._names(tmp_path)[1] == ["train_0003"]


def test_a_large_folder_streams_the_same_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_voc(tmp_path, {"train": 6, "val": 2, "test": 1}, side=16)
    held = load(tmp_path, size=16)
    monkeypatch.setattr(voc_folder, "IN_MEMORY_BYTES", 0)
    streamed = load(tmp_path / ".", size=16, workers=0, num_classes=21)
    monkeypatch.setattr(data, "_loaded", {})
    streamed = load(tmp_path, size=16)
    assert isinstance(held.train, TensorSplit) and isinstance(streamed.train, StreamedSplit)
    assert streamed.labels_nothing == 255
    order = torch.tensor([3, 0, 5])
    for one, other in zip(
        held.train.batches(order, 2, CPU), streamed.train.batches(order, 2, CPU), strict=True
    ):
        torch.testing.assert_close(one[0], other[0], atol=1e-5, rtol=0)
        assert torch.equal(one[1], other[1])


def _rgb(folder: Path) -> None:
    Image.new("RGB", (24, 8)).save(folder / "SegmentationClass/train_0001.png")


def _narrow(folder: Path) -> None:
    Image.new("L", (20, 8)).save(folder / "SegmentationClass/train_0001.png")


def _cut(folder: Path) -> None:
    (folder / "JPEGImages/train_0001.jpg").write_bytes(b"no image")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "JPEGImages").rename(root / "images"), r"no folder .*JPEGImages; set data_opt"),
        (lambda root: (root / "ImageSets/Segmentation/train.txt").unlink(), r"no file .*/train.txt\."),
        (lambda root: (root / "ImageSets/Segmentation/val.txt").write_text(""), "has no images for val"),
        (lambda root: (root / "JPEGImages/val_0000.jpg").unlink(), r"no file .*JPEGImages/val_0000.jpg\."),
        (lambda root: (root / "SegmentationClass/val_0000.png").unlink(), r"no file .*/val_0000.png\."),
        (_rgb, r"SegmentationClass/train_0001.png is of mode RGB; the pixels"),
        (_narrow, r"train_0001.png has 20x8 pixels and its image 24x8\."),
        (_cut, r"JPEGImages/train_0001.jpg cannot be read \("),
    ],
)
def test_what_is_wrong_with_a_folder_is_told(tmp_path: Path, damage, message: str) -> None:
    write_voc(tmp_path, {"train": 6, "val": 1}, side=8)
    damage(tmp_path)
    with pytest.raises(trainables.TaskError, match=f"^voc_folder: .*{message}") as caught:
        load(tmp_path, size=8)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["flip", "crop", "shift"])
def test_label_maps_are_changed_as_their_images(kind: str) -> None:
    # a pixel's label follows from its colour, so whoever moves one alone is found out
    maps = torch.arange(200 * 16 * 16).view(200, 16, 16) % 199 + 1
    images = torch.stack([maps, 300 - maps], 1).float()
    changed, labels = augment_batch(images, maps, (kind,), torch.Generator().manual_seed(1), 255)
    inside = labels != 255
    assert torch.equal(changed[:, 0][inside], labels[inside].float())
    assert labels.dtype == torch.int64 and not torch.equal(labels, maps)
    assert bool((~inside).any()) == (kind == "crop") and not changed[:, 0][~inside].any()
    same, one_each = augment_batch(images, maps[:, 0, 0], (kind,), torch.Generator().manual_seed(1), -100)
    assert torch.equal(same, changed) and torch.equal(one_each, maps[:, 0, 0])
