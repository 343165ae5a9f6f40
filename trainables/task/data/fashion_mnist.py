"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747): images of clothes, 28x28, ten classes.

60,000 images to train and validate, 10,000 to test.
"""

import gzip
from pathlib import Path

import numpy
import torch
from torch import Tensor

from trainables.errors import TaskError
from trainables.task.data.data import Data, balanced, from_pixels, stratified

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def fashion_mnist(*, root: str | None = None, train_images: int | None = None) -> Data:
    """Load Fashion-MNIST: 55,000 images to train, 5,000 to validate, the 10,000 to test.

    That is Frankle & Carbin's split of MNIST; inputs are (1, 28, 28). ``root`` is a folder with the four
    original ``*-ubyte.gz`` files; without it, where Debian's package puts them. ``train_images`` leaves so
    many of the images to train, equally many of each class; validation and test stay whole.
    """
    folder = Path(root).expanduser() if root else DEBIAN
    images, labels = (
        _idx(folder / "train-images-idx3-ubyte.gz"),
        _idx(folder / "train-labels-idx1-ubyte.gz").long(),
    )
    test_images, test_labels = (
        _idx(folder / "t10k-images-idx3-ubyte.gz"),
        _idx(folder / "t10k-labels-idx1-ubyte.gz").long(),
    )
    validation, train = stratified(labels, 1 / 12)
    if train_images is not None:
        train = train[balanced(labels[train], train_images)]
    known = [(images[part, None], labels[part]) for part in (train, validation)]
    return from_pixels([*known, (test_images[:, None], test_labels)], num_classes=10)


def _idx(path: Path) -> Tensor:
    """Read a gz idx file of unsigned bytes as a uint8 tensor.

    LeCun's format: two zeros, type 8, rank, big-endian sizes, data.
    """
    if not path.exists():
        raise TaskError(
            f"Fashion-MNIST is not at {path.parent} ({path.name} is missing): "
            "`apt-get install dataset-fashion-mnist`, or set data_options.root to a folder with its four gz "
            "files."
        )
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise TaskError(f"{path} is not a gzip file: {error}.") from error
    rank = content[3]
    shape = numpy.frombuffer(content, ">i4", count=rank, offset=4)
    return torch.from_numpy(numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * rank).reshape(shape).copy())
