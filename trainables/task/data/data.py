"""What a task trains on: three splits and what a network must know of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pruners.network.inputs import input_tensors
from trainables.errors import TaskError
from trainables.seeds import generator
from trainables.task.data.dataset_digest import dataset_digest
from trainables.task.data.splits import Split, StreamedSplit, TensorSplit

# one split for everyone: trials, replicates and studies are compared on the same images
_SPLIT_SEED = 20210711

UNLABELLED = 255


@dataclass(frozen=True)
class Data:
    """Train, validation and test splits of inputs with labels.

    ``num_classes`` is None where labels are no classes. ``digest`` is a SHA-256 of the examples in memory, of
    what `dataset_digest` reads of them where they stream: it tells two data sets of the same name apart.
    """

    train: Split
    validation: Split
    test: Split
    num_classes: int | None
    digest: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of one input, without the batch: (channels, height, width) for images."""
        return self.train.input_shape

    def read_by(self, workers: int) -> "Data":
        """Have the data read by so many processes where they are not in memory; 0 leaves it as they say."""
        if not workers:
            return self
        train, validation, test = (
            split.read_by(workers) for split in (self.train, self.validation, self.test)
        )
        return replace(self, train=train, validation=validation, test=test)

    @property
    def labels_nothing(self) -> int:
        """Return the label of what counts for nothing: 255 in label maps (N, H, W, ...), else torch's -100.

        Where there are more than 255 classes, 255 is one of them.
        """
        is_map = self.train.first()[1].dim() > 2
        return UNLABELLED if is_map and (self.num_classes is None or self.num_classes <= UNLABELLED) else -100


def from_splits(splits: Sequence[Split], num_classes: int | None) -> Data:
    """Make `Data` of the train, validation and test ``splits`` and take its digest."""
    hasher, known = hashlib.sha256(), dict[int, str]()
    for split in splits:
        if isinstance(split, TensorSplit):
            hasher.update(str(list(split.inputs)).encode() if isinstance(split.inputs, Mapping) else b"")
            for tensor in (*input_tensors(split.inputs), split.labels):
                hasher.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                hasher.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
        elif isinstance(split, StreamedSplit):
            hasher.update(dataset_digest(split.dataset, known).encode())
        else:  # a class of the user's own, whose code is known by its source
            hasher.update(f"{type(split).__name__}{len(split)}{split.input_shape}".encode())
    train, validation, test = splits
    return Data(train, validation, test, num_classes, hasher.hexdigest())


def from_pixels(parts: Sequence[tuple[Tensor, Tensor]], num_classes: int) -> Data:
    """Make `Data` of uint8 images: train, validation and test ``parts``, each with its labels (N,).

    Images are (N, channels, height, width). Inputs are float32, normalised by the training images' mean and
    standard deviation of each channel.
    """
    mean, std = statistics(parts[0][0])
    # the digest is of the pixels: the last bits of a mean differ between processors, and so would the digest
    digest = from_splits([TensorSplit(*part) for part in parts], num_classes).digest
    train, validation, test = (TensorSplit((images.float() - mean) / std, labels) for images, labels in parts)
    return Data(train, validation, test, num_classes, digest)


def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation of each channel of uint8 ``images`` (N, C, H, W).

    Each is of shape (1, C, 1, 1); a standard deviation is never below 1.
    """
    counts = torch.stack(
        [torch.bincount(channel.flatten(), minlength=256) for channel in images.transpose(0, 1)]
    ).double()
    values, shares = torch.arange(256.0, dtype=torch.float64), counts / counts.sum(dim=1, keepdim=True)
    mean = (shares * values).sum(dim=1)
    variance = (shares * (values - mean[:, None]) ** 2).sum(dim=1)
    return mean.float().view(1, -1, 1, 1), variance.sqrt().clamp_min(1.0).float().view(1, -1, 1, 1)


def stratified(labels: Tensor, *shares: float) -> list[Tensor]:
    """Cut examples into disjoint parts with the given shares of every class, and last the rest.

    Returns indices, each part's sorted, the same on every call. ``labels``: int64, shape (N,). Every part
    gets round(share * n) of a class of n.
    """
    parts: list[list[Tensor]] = [[] for _ in range(len(shares) + 1)]
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator(_SPLIT_SEED, "split", label))]
        sizes = [round(share * len(members)) for share in shares]
        for part, piece in zip(parts, members.split([*sizes, len(members) - sum(sizes)]), strict=True):
            part.append(piece)
    return [torch.cat(part).sort().values for part in parts]


def balanced(labels: Tensor, count: int) -> Tensor:
    """Choose ``count`` examples, equally many of each class; returns their indices, sorted.

    Those of a smaller count are among a larger one's. ``labels``: int64, shape (N,). Raises `TaskError` when
    ``count`` is no multiple of the classes or a class has too few.
    """
    classes, sizes = labels.unique(return_counts=True)
    each, rest = divmod(count, len(classes))
    most = int(sizes.min())
    if rest or not 1 <= each <= most:
        raise TaskError(
            f"train_images must be a multiple of {len(classes)} from {len(classes)} to "
            f"{most * len(classes)}, not {count}."
        )
    parts = []
    for label in classes.tolist():
        members = (labels == label).nonzero().flatten()
        parts.append(
            members[torch.randperm(len(members), generator=generator(_SPLIT_SEED, "balanced", label))[:each]]
        )
    return torch.cat(parts).sort().values
