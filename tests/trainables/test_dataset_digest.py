"""What a streamed data set is known by: changed labels and pictures, not copies and augmentation."""

import os
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from torchvision.transforms.functional import to_pil_image

import trainables
from trainables.task.data import dataset_digest as module
from trainables.task.data.dataset_digest import dataset_digest


def digest(dataset: Any) -> str:
    return dataset_digest(dataset, {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine pictures of three classes; uncompressed, so that all have one size."""
    pixels = torch.randint(256, (9, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for i, image in enumerate(pixels):
        path = tmp_path / "pictures" / "abc"[i % 3] / f"{i}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        to_pil_image(image).save(path)
    return tmp_path / "pictures"


def pictures(folder: Path) -> ImageFolder:
    return ImageFolder(str(folder), v2.PILToTensor())


class Annotated(Dataset[tuple[Tensor, int]]):
    """As PyTorch's tutorial writes one: a table of names and labels, and the folder that the names are in."""

    def __init__(self, folder: Path):
        self.img_labels = pd.read_csv(folder.parent / "labels.csv")
        self.img_dir = str(folder)

    def __len__(self) -> int:
        return len(self.img_labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        raise AssertionError("read one by one")


def annotated(folder: Path) -> Annotated:
    lines = [f"{path.relative_to(folder)},{len(path.parent.name)}" for path in sorted(folder.rglob("*.bmp"))]
    (folder.parent / "labels.csv").write_text("\n".join(["name,label", *lines]))
    return Annotated(folder)


def swapped(folder: Path) -> None:
    """Two pictures in each other's place: same paths, sizes and labels."""
    one, other, between = folder / "a" / "0.bmp", folder / "b" / "1.bmp", folder.parent / "between"
    for source, target in ((one, between), (other, one), (between, other)):
        source.rename(target)


def one_pixel(folder: Path) -> None:
    content = bytearray((folder / "c" / "2.bmp").read_bytes())
    content[len(content) // 2 + 3] ^= 1
    (folder / "c" / "2.bmp").write_bytes(content)


def other_class(folder: Path) -> None:
    (folder / "a" / "0.bmp").rename(folder / "b" / "0.bmp")


@pytest.mark.parametrize("change", [swapped, one_pixel, other_class], ids=lambda change: change.__name__)
@pytest.mark.parametrize("read", [2**30, 2**10], ids=["read in full", "read in part"])
def test_a_folder_of_pictures_is_known_by_its_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], read: int
) -> None:
    monkeypatch.setattr(module, "_READ", read)
    monkeypatch.setattr(module, "_LEAST_OF_A_FILE", 64)
    before = digest(pictures(folder))
    assert digest(Subset(pictures(folder), [0, 5])) != digest(Subset(pictures(folder), [0, 4]))
    copy = Path(shutil.copytree(folder, folder.parent / "elsewhere", copy_function=shutil.copyfile))
    for file in copy.rglob("*.bmp"):
        os.utime(file, (1, 1))
    assert digest(pictures(copy)) == before
    change(folder)
    assert digest(pictures(folder)) != before
    assert digest(Subset(pictures(folder), [0, 5])) != digest(Subset(pictures(copy), [0, 5]))


def test_of_many_files_only_a_part_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ", 900)
    monkeypatch.setattr(module, "_LEAST_OF_A_FILE", 64)
    before = digest(pictures(folder))
    content = bytearray((folder / "c" / "2.bmp").read_bytes())
    content[60] ^= 1  # in the first quarter, which is what a bound costs
    (folder / "c" / "2.bmp").write_bytes(content)
    assert digest(pictures(folder)) == before


def test_a_table_of_names_and_labels_is_known_by_both(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "_add_examples", lambda seen, dataset: None
    )  # what is left is the table and its files
    before = digest(annotated(folder))
    assert digest(annotated(folder)) == before
    swapped(folder)
    moved = digest(annotated(folder))
    assert moved != before
    table = folder.parent / "labels.csv"
    table.write_text(table.read_text().replace("0.bmp,1", "0.bmp,2"))
    assert digest(Annotated(folder)) not in (before, moved)


class Held(Dataset[tuple[Tensor, Any]]):
    """Holds its examples under names of its own."""

    def __init__(self, x: Any, y: Any):
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        return torch.as_tensor(self.x[index]), self.y[index]


class Computed(Dataset[Any]):
    """Holds nothing that can be seen: its examples come out of a function."""

    def __init__(self, example: Callable[[int], Any], length: int = 50):
        self.example, self.length = example, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.example(index)


X, Y = torch.arange(3000.0).view(1000, 3), torch.arange(1000) % 7


def edited(values: Tensor) -> Tensor:
    values = values.clone()
    values[501] += 1
    return values


CHANGED: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "tensors": TensorDataset,
    "arrays": lambda x, y: Held(x.numpy(), y.numpy()),
    "lists": lambda x, y: Held(x.tolist(), y.tolist()),
    "lists of tensors": lambda x, y: Held(list(x), y.tolist()),
    "labels as texts": lambda x, y: Held(x, [f"class {label}" for label in y.tolist()]),
    "in another data set": lambda x, y: Subset(Held(x, y), list(range(0, 1000, 2))),
    "in several": lambda x, y: ConcatDataset([Held(x[:300], y[:300]), Held(x[300:], y[300:])]),
    "computed": lambda x, y: Computed(lambda i: (x[i], int(y[i])), length=1000),
    "computed dictionaries": lambda x, y: Computed(
        lambda i: ({"ids": x[i], "mask": x[i] > 0}, {"label": y[i].numpy()}), length=1000
    ),
    "half precision": lambda x, y: Held(x.bfloat16(), y),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_one_changed_label_or_input_is_noticed(kind: str) -> None:
    before = digest(CHANGED[kind](X, Y))
    assert digest(CHANGED[kind](X.clone(), Y.clone())) == before
    assert digest(CHANGED[kind](X, edited(Y))) != before
    assert digest(CHANGED[kind](-X, Y)) != before


def test_of_large_examples_a_sample_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXAMPLES", 1)
    read: list[int] = []

    def example(index: int) -> tuple[Tensor, int]:
        read.append(index)
        return X[index], 0

    digest(Computed(example, length=1000))
    assert len(set(read)) == 64 and {0, 999} <= set(read)


DRAWN: dict[str, Callable[[], float]] = {
    "torch": lambda: torch.rand(()).item(),
    "numpy": np.random.rand,
    "python": random.random,
}


@pytest.mark.parametrize("source", DRAWN)
def test_augmentation_drawn_from_a_global_generator_changes_nothing(source: str) -> None:
    draw = DRAWN[source]
    augmented = Computed(lambda i: (X[i] + draw(), int(Y[i])))
    before = digest(augmented)
    undisturbed = draw()
    assert digest(augmented) == before
    assert draw() != undisturbed
    assert digest(Computed(lambda i: (-X[i] + draw(), int(Y[i])))) != before


def test_generators_are_left_as_they_were() -> None:
    def states() -> Iterable[Any]:
        of_numpy = np.random.get_state()[1].tolist()  # noqa: NPY002
        return torch.get_rng_state().tolist(), of_numpy, random.getstate()

    before = states()
    digest(Computed(lambda i: (X[i] + sum(draw() for draw in DRAWN.values()), 0)))
    assert states() == before


def test_a_generator_of_its_own_is_told_and_a_digest_of_its_own_helps() -> None:
    generator = torch.Generator()

    def drawn(index: int) -> tuple[Tensor, int]:
        return torch.rand(3, generator=generator), int(Y[index])

    dataset = Computed(drawn)
    with pytest.warns(
        trainables.StoreWarning, match="Computed gives another example each time .* an attribute digest"
    ):
        first = digest(dataset)
    with pytest.warns(trainables.StoreWarning):
        assert digest(dataset) == first
    dataset.digest = "the first version"  # type: ignore[attr-defined]
    named = digest(dataset)
    dataset.digest = "the second"  # type: ignore[attr-defined]
    assert len({first, named, digest(dataset)}) == 3


def test_what_no_digest_can_be_made_of_is_explained() -> None:
    dataset = Computed(lambda i: (X[i], 0))
    dataset.digest = 3  # type: ignore[attr-defined]
    with pytest.raises(trainables.TaskError, match="the digest of the data set Computed is int, not a text"):
        digest(dataset)
    with pytest.raises(
        trainables.TaskError, match=r"the data set Computed gives no example 5: IndexError: .*\."
    ):
        digest(Computed(lambda i: (X[:5][i], 0), length=6))


def test_splits_of_the_same_length_and_shape_are_told_apart() -> None:
    def data(labels: Tensor) -> str:
        return trainables.from_splits([trainables.StreamedSplit(Held(X, labels))] * 3, num_classes=8).digest

    assert data(Y) == data(Y.clone()) != data(edited(Y))
