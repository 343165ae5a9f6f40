"""Images with a class for every pixel, in the layout of PASCAL VOC (Everingham et al., IJCV 2010).

``JPEGImages/NAME.jpg``, ``SegmentationClass/NAME.png``, and ``ImageSets/Segmentation/{train,val}.txt`` with a
name a line.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import functional
from torchvision.transforms.functional import InterpolationMode

from trainables.errors import TaskError
from trainables.seeds import permutation
from trainables.task.data.data import Data, from_pixels, from_splits, statistics
from trainables.task.data.splits import StreamedSplit

IN_MEMORY_BYTES = 2**30  # what images (float32) and label maps (int64) of all splits may take in memory
_BYTES_A_PIXEL = 3 * 4 + 8
_STATISTICS_FROM = 1000  # training images that estimate a streamed set's mean and standard deviation
_SPLITS = ("train", "val", "test")
_INDICES = ("P", "L")  # the modes of a PNG file whose pixels are numbers of classes


def voc_folder(*, root: str, size: int = 512, num_classes: int = 21, workers: int = 0) -> Data:
    """Load RGB images and their label maps, both resized (shorter side) and cropped at the centre.

    Inputs are (3, size, size), labels (size, size): classes from 0, and 255 for what counts for nothing.
    Masks are PNG files with a palette, or grey ones, whose pixels are these numbers; they are resized to the
    nearest pixel. A missing val.txt or test.txt is split off train.txt, a tenth of it, always the same
    images. In memory up to 1 GiB, streamed by ``workers`` processes beyond. Raises `TaskError` for a folder
    that is not so laid out, naming the file.
    """
    folder = Path(root).expanduser()
    if not (folder / "JPEGImages").is_dir():
        raise TaskError(
            f"voc_folder: there is no folder {folder / 'JPEGImages'}; set data_options.root to the folder "
            "that holds JPEGImages (VOCdevkit/VOC2012 of the published archive)."
        )
    parts = [LabelledImages(folder, names, size) for names in _names(folder)]
    if sum(map(len, parts)) * size * size * _BYTES_A_PIXEL <= IN_MEMORY_BYTES:
        held = [
            tuple(map(torch.stack, zip(*(part[i] for i in range(len(part))), strict=True))) for part in parts
        ]
        return from_pixels([(images, maps) for images, maps in held], num_classes)
    sample = permutation(len(parts[0]), seed=0, epoch=0)[:_STATISTICS_FROM]
    mean, std = statistics(torch.stack([parts[0][int(i)][0] for i in sample]))
    return from_splits(
        [StreamedSplit(part, workers, mean.flatten(), std.flatten()) for part in parts], num_classes
    )


class LabelledImages(Dataset[tuple[Tensor, Tensor]]):
    """Images of a folder, uint8 (3, size, size), each with its label map, int64 (size, size)."""

    def __init__(self, folder: Path, names: Sequence[str], size: int):
        self.images = [str(_existing(folder / "JPEGImages" / f"{name}.jpg")) for name in names]
        self.masks = [str(_existing(folder / "SegmentationClass" / f"{name}.png")) for name in names]
        self.size = size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = _read(self.images[index]).convert("RGB"), _read(self.masks[index])
        if mask.mode not in _INDICES:
            raise TaskError(
                f"voc_folder: {self.masks[index]} is of mode {mask.mode}; the pixels of a mask are numbers "
                "of classes, in a PNG file with a palette or a grey one."
            )
        if mask.size != image.size:
            raise TaskError(
                f"voc_folder: {self.masks[index]} has {mask.size[0]}x{mask.size[1]} pixels and its image "
                f"{image.size[0]}x{image.size[1]}."
            )
        pixels, classes = (
            torch.from_numpy(np.array(self._fitted(one, how)))
            for one, how in ((image, InterpolationMode.BILINEAR), (mask, InterpolationMode.NEAREST))
        )
        return pixels.movedim(-1, 0).contiguous(), classes.long()

    def _fitted(self, image: Image.Image, how: InterpolationMode) -> Image.Image:
        fitted: Image.Image = functional.center_crop(functional.resize(image, [self.size], how), [self.size])
        return fitted


def _names(folder: Path) -> list[list[str]]:
    """Return the names of the images to train on, to validate and to test."""
    listed = {split: _listed(folder / "ImageSets" / "Segmentation" / f"{split}.txt") for split in _SPLITS}
    train, known = listed["train"], dict(listed)
    if train is None:
        raise TaskError(f"voc_folder: there is no file {folder / 'ImageSets/Segmentation/train.txt'}.")
    missing = [split for split in _SPLITS[1:] if known[split] is None]
    order = permutation(len(train), seed=0, epoch=0).tolist()
    share = round(len(train) / 10)
    for number, split in enumerate(missing):
        known[split] = [train[place] for place in sorted(order[number * share : (number + 1) * share])]
    known["train"] = [train[place] for place in sorted(order[len(missing) * share :])]
    found = [known[split] or [] for split in _SPLITS]
    for split, names in zip(_SPLITS, found, strict=True):
        if not names:
            raise TaskError(
                f"voc_folder: {folder} has no images for {split}; train.txt needs at least five to split."
            )
    return found


def _listed(file: Path) -> list[str] | None:
    return file.read_text(encoding="utf-8").split() if file.is_file() else None


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise TaskError(f"voc_folder: there is no file {file}.")
    return file


def _read(file: str) -> Image.Image:
    try:
        with Image.open(file) as opened:
            opened.load()
            return opened
    except (UnidentifiedImageError, OSError) as error:
        raise TaskError(f"voc_folder: {file} cannot be read ({error}).") from error
