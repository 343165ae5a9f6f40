"""Any folder of images: one folder per class, directly below the root or below train/, val/ and test/."""

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Subset
from torchvision import datasets, transforms

from trainables.errors import TaskError
from trainables.seeds import permutation
from trainables.task.data.data import Data, from_pixels, from_splits, statistics, stratified
from trainables.task.data.splits import Examples, StreamedSplit

IN_MEMORY_BYTES = 2**30  # what the normalised float32 images of all splits may take before they are streamed
_STATISTICS_FROM = 1000  # training images that estimate a streamed folder's mean and standard deviation
_NAMES = {"train": ("train",), "validation": ("val", "validation", "valid"), "test": ("test",)}


def image_folder(*, root: str, size: int = 224, workers: int = 0) -> Data:
    """Load RGB images resized (shorter side) and cropped at the centre to ``size`` pixels.

    Inputs are (3, size, size). A missing val/ or test/ is split off train/, a tenth of each class, always the
    same images. In memory up to 1 GiB, streamed by ``workers`` processes beyond. Raises `TaskError` for a
    folder that is not so laid out.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise TaskError(f"image_folder: there is no folder {folder}; set data_options.root to one.")
    parts, classes = _parts(folder, size)
    images = sum(len(part) for part in parts)
    if images * 3 * size * size * 4 <= IN_MEMORY_BYTES:
        return from_pixels([_stacked(part) for part in parts], len(classes))
    sample = permutation(len(parts[0]), seed=0, epoch=0)[:_STATISTICS_FROM]
    mean, std = statistics(torch.stack([parts[0][int(i)][0] for i in sample]))
    return from_splits(
        [StreamedSplit(part, workers, mean.flatten(), std.flatten()) for part in parts], len(classes)
    )


def _parts(folder: Path, size: int) -> tuple[list[Examples], list[str]]:
    """Open train, validation and test as datasets of (uint8 image, class); also the classes' names."""
    found = {
        split: _open(folder / name, size)
        for split, names in _NAMES.items()
        for name in names
        if (folder / name).is_dir()
    }
    whole = found.pop("train", None) or _open(folder, size)
    for split, dataset in found.items():
        if dataset.classes != whole.classes:
            odd = sorted(set(dataset.classes) ^ set(whole.classes))
            raise TaskError(
                f"image_folder: the classes of {split} in {folder} are not those of train ({', '.join(odd)})."
            )
    missing = [split for split in ("validation", "test") if split not in found]
    *cut, rest = stratified(torch.tensor(whole.targets), *[0.1] * len(missing))
    split_off = {split: Subset(whole, part.tolist()) for split, part in zip(missing, cut, strict=True)}
    train = Subset(whole, rest.tolist()) if missing else whole
    parts = [train, *(found.get(split) or split_off[split] for split in ("validation", "test"))]
    if any(len(part) == 0 for part in parts):
        raise TaskError(
            f"image_folder: {folder} has too few images to split; every class needs at least ten."
        )
    return parts, whole.classes


def _open(folder: Path, size: int) -> datasets.ImageFolder:
    steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.PILToTensor()]
    try:
        return datasets.ImageFolder(str(folder), transforms.Compose(steps))
    except FileNotFoundError as error:
        raise TaskError(
            f"image_folder: {folder} is no folder of class folders with images ({error})."
        ) from error


def _stacked(part: Examples) -> tuple[Tensor, Tensor]:
    images, labels = zip(*(part[i] for i in range(len(part))), strict=True)
    return torch.stack(images), torch.tensor(labels)
