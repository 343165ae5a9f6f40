import random
import sys
from pathlib import Path

import numpy
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torchvision.transforms.functional import to_pil_image

import trainables
from trainables.config import TaskConfig
from trainables.task import data
from trainables.task.data import fashion_mnist, image_folder
from trainables.task.data.data import balanced, stratified
from trainables.task.data.splits import StreamedSplit, TensorSplit
from trainables.training.augment import augment

CPU = torch.device("cpu")
USERS = "tests.trainables.users"


def load(name: str, **options: object) -> trainables.Data:
    return trainables.load_data(TaskConfig("lenet_300_100", name, data_options=options))


def test_digits_are_split_by_class_and_normalised() -> None:
    digits = load("digits")
    assert digits is load("digits")
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1079, 359, 359)
    assert (digits.num_classes, digits.input_shape) == (10, (1, 8, 8))
    assert digits.train.inputs.mean().item() == pytest.approx(0, abs=1e-5)
    assert digits.train.inputs.std().item() == pytest.approx(1, abs=1e-3)
    for split in (digits.train, digits.validation, digits.test):
        shares = split.labels.bincount() / len(split)
        assert shares.min() > 0.09 and shares.max() < 0.11
    images = torch.cat([split.inputs for split in (digits.train, digits.validation, digits.test)]).flatten(1)
    assert len(images.unique(dim=0)) == 1797


def test_parts_are_disjoint_and_complete() -> None:
    labels = torch.arange(5).repeat_interleave(torch.tensor([1, 2, 10, 33, 100]))
    parts = stratified(labels, 0.1, 0.25)
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(146))
    assert [labels[part].bincount(minlength=5).tolist() for part in parts] == [
        [0, 0, 1, 3, 10],
        [0, 0, 2, 8, 25],
        [1, 2, 7, 22, 65],
    ]
    assert all(torch.equal(*pair) for pair in zip(parts, stratified(labels, 0.1, 0.25), strict=True))


@pytest.mark.skipif(not fashion_mnist.DEBIAN.exists(), reason="needs Debian's package dataset-fashion-mnist")
def test_fashion_mnist_from_debians_package() -> None:
    clothes = load("fashion_mnist")
    assert [len(split) for split in (clothes.train, clothes.validation, clothes.test)] == [
        55_000,
        5_000,
        10_000,
    ]
    assert clothes.input_shape == (1, 28, 28)
    assert clothes.validation.labels.bincount().tolist() == [500] * 10
    assert clothes.train.inputs.std().item() == pytest.approx(1, abs=1e-3)
    assert clothes.digest.startswith("ea3ac77f")


@pytest.mark.skipif(not fashion_mnist.DEBIAN.exists(), reason="needs Debian's package dataset-fashion-mnist")
def test_fashion_mnist_may_be_trained_on_fewer_images() -> None:
    whole, few = load("fashion_mnist"), load("fashion_mnist", train_images=600)
    assert few.train.labels.bincount().tolist() == [60] * 10
    assert torch.equal(few.validation.labels, whole.validation.labels) and torch.equal(
        few.test.labels, whole.test.labels
    )
    assert few.digest != whole.digest
    with pytest.raises(
        trainables.TaskError, match="train_images must be a multiple of 10 from 10 to 55000, not 605"
    ):
        load("fashion_mnist", train_images=605)


def test_a_balanced_part_grows_without_losing_anything() -> None:
    labels = torch.arange(3).repeat_interleave(torch.tensor([9, 5, 7]))
    smaller, larger = balanced(labels, 6), balanced(labels, 12)
    assert labels[smaller].bincount().tolist() == [2, 2, 2] and labels[larger].bincount().tolist() == [
        4,
        4,
        4,
    ]
    assert set(smaller.tolist()) < set(larger.tolist())
    for count in (0, 4, 18, -3):
        with pytest.raises(trainables.TaskError, match=f"a multiple of 3 from 3 to 15, not {count}"):
            balanced(labels, count)


def test_mnist1d_is_generated_the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_loaded", {})
    before = global_generators()
    signals = load("mnist1d")
    assert [len(split) for split in (signals.train, signals.validation, signals.test)] == [3601, 399, 1000]
    assert (signals.num_classes, signals.input_shape) == (10, (1, 40))
    assert signals.digest.startswith("773ce168")
    assert global_generators() == before


def global_generators() -> tuple[object, list[int]]:
    return random.getstate(), numpy.random.get_state()[1].tolist()  # noqa: NPY002


def test_mnist1ds_signals_are_learnt() -> None:
    signals = load("mnist1d")
    classifier = KNeighborsClassifier(n_neighbors=1).fit(
        signals.train.inputs[:, 0].numpy(), signals.train.labels.numpy()
    )
    assert 0.3 < classifier.score(signals.test.inputs[:, 0].numpy(), signals.test.labels.numpy()) < 0.7


def test_the_package_that_mnist1d_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    monkeypatch.setattr(data, "_loaded", {})
    with pytest.raises(trainables.TaskError, match="needs the package of that name: `pip install mnist1d`"):
        load("mnist1d")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Real digits as PNG files: three classes of twenty images each."""
    digits = load("digits").train
    for label in range(3):
        (tmp_path / f"class-{label}").mkdir()
        for i, image in enumerate(digits.inputs[digits.labels == label][:20]):
            to_pil_image((image - image.min()) / (image.max() - image.min())).save(
                tmp_path / f"class-{label}" / f"{i:02}.png"
            )
    return tmp_path


def test_an_image_folder_is_split_by_class(folder: Path) -> None:
    images = load("image_folder", root=str(folder), size=8)
    assert [len(split) for split in (images.train, images.validation, images.test)] == [48, 6, 6]
    assert (images.num_classes, images.input_shape) == (3, (3, 8, 8))
    assert images.validation.labels.bincount().tolist() == [2, 2, 2]


def test_an_image_folder_keeps_its_own_splits(folder: Path) -> None:
    classes = list(folder.iterdir())
    for split, kept in (("train", range(15)), ("val", range(15, 18)), ("test", range(18, 20))):
        for label in classes:
            (folder / split / label.name).mkdir(parents=True)
            for i in kept:
                (label / f"{i:02}.png").rename(folder / split / label.name / f"{i:02}.png")
    images = load("image_folder", root=str(folder), size=8)
    assert [len(split) for split in (images.train, images.validation, images.test)] == [45, 9, 6]
    (folder / "test" / "class-2").rename(folder / "test" / "class-7")
    with pytest.raises(
        trainables.TaskError, match=r"classes of test .* are not those of train \(class-2, class-7\)"
    ):
        load("image_folder", root=f"{folder}/.", size=8)


def test_a_large_image_folder_streams_the_same_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = load("image_folder", root=str(folder), size=8)
    monkeypatch.setattr(image_folder, "IN_MEMORY_BYTES", 0)
    streamed = load("image_folder", root=f"{folder}/", size=8)
    assert isinstance(held.train, TensorSplit) and isinstance(streamed.train, StreamedSplit)
    order = torch.tensor([7, 3, 40, 3, 11])
    for one, other in zip(
        held.train.batches(order, 2, CPU), streamed.train.batches(order, 2, CPU), strict=True
    ):
        assert torch.allclose(one[0], other[0], atol=1e-5)
        assert torch.equal(one[1], other[1])


def test_a_users_tensors_are_taken_as_they_are() -> None:
    blobs = load(f"{USERS}:blobs", classes=4)
    assert (blobs.num_classes, blobs.input_shape, len(blobs.train)) == (4, (8,), 160)
    assert blobs.digest != load(f"{USERS}:blobs", classes=4, per_class=41).digest


def test_data_drawn_at_random_are_the_same_in_every_process() -> None:
    digest = load(f"{USERS}:drawn").digest
    data._loaded.clear()
    torch.rand(5)
    assert load(f"{USERS}:drawn").digest == digest


def test_a_users_dataset_gives_the_same_batches_as_its_tensors() -> None:
    streamed, held = load(f"{USERS}:datasets"), load(f"{USERS}:blobs")
    order = torch.randperm(120, generator=torch.Generator().manual_seed(1))
    for one, other in zip(
        streamed.train.batches(order, 50, CPU), held.train.batches(order, 50, CPU), strict=True
    ):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    assert streamed.num_classes == 3


@pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning"
)  # Python 3.12 warns of what DataLoader does by default
def test_a_users_ready_data_may_be_read_by_other_processes() -> None:
    ready, held = load(f"{USERS}:ready_data"), load(f"{USERS}:blobs")
    inputs, labels = next(ready.test.in_order(30, CPU))
    assert torch.equal(inputs, held.test.inputs) and torch.equal(labels, held.test.labels)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digit", {}, "there is no data set 'digit'; did you mean digits?"),
        ("digits", {"root": "/"}, "data set digits has no option 'root'; it takes none."),
        ("fashion_mnist", {"rot": "/"}, "data set fashion_mnist has no option 'rot'; did you mean root?"),
        (
            "fashion_mnist",
            {"root": "/nowhere"},
            "Fashion-MNIST is not at /nowhere .*apt-get install dataset-fashion-mnist",
        ),
        (
            "cifar10",
            {"root": "/nowhere"},
            "CIFAR-10 is not usable at '/nowhere' .*data_options.download to true.",
        ),
        ("cifar100", {"root": "/nowhere"}, "CIFAR-100 is not usable at '/nowhere'"),
        ("image_folder", {}, "data set image_folder needs the option 'root'."),
        ("image_folder", {"root": "/nowhere"}, "there is no folder /nowhere"),
        (
            "image_folder",
            {"root": "tests/trainables"},
            "tests/trainables is no folder of class folders with images",
        ),
        (f"{USERS}:blobs", {"shape": 1}, f"data factory {USERS}:blobs raised TypeError: .*'shape'"),
        (
            f"{USERS}:list_data",
            {},
            f"data factory {USERS}:list_data returned list, not a dict with train, validation, test",
        ),
        (f"{USERS}:without_test", {}, "returned no 'test'; a dict with train, validation, test is needed."),
        (f"{USERS}:misspelt", {}, "returned the unknown split 'valdiation'; did you mean validation?"),
        (f"{USERS}:uneven", {}, "train has 119 inputs and 120 labels"),
        (
            f"{USERS}:float_labels",
            {},
            "the labels of train are floats of 1 dimensions, those of validation integers of 1",
        ),
        (f"{USERS}:string_split", {}, "test is str, neither a pair of tensors"),
        (f"{USERS}:countless", {}, 'does not say its classes; add "num_classes"'),
    ],
)
def test_data_that_cannot_be_is_explained(name: str, options: dict, message: str) -> None:
    with pytest.raises(trainables.TaskError, match=message) as caught:
        load(name, **options)
    assert "\n" not in str(caught.value)


def test_every_built_in_resolves() -> None:
    assert {
        name: data.resolved_options(name, {"root": "r"} if name.endswith("_folder") else {})
        for name in data.BUILT_IN
    } == {
        "digits": {},
        "mnist1d": {},
        "fashion_mnist": {"root": None, "train_images": None},
        "cifar10": {"root": "data", "download": False},
        "cifar100": {"root": "data", "download": False},
        "image_folder": {"root": "r", "size": 224, "workers": 0},
        "voc_folder": {"root": "r", "size": 512, "num_classes": 21, "workers": 0},
    }


@pytest.mark.parametrize("kind", ["flip", "crop", "shift"])
def test_augmentation_is_what_it_says_and_the_same_again(kind: str) -> None:
    images = torch.arange(1, 64 * 2 * 16 * 16 + 1.0).view(64, 2, 16, 16)

    def changed() -> torch.Tensor:
        return augment(images, (kind,), torch.Generator().manual_seed(4))

    out = changed()
    assert out.shape == images.shape
    assert torch.equal(out, changed())
    assert not torch.equal(out, images)
    for before, after in zip(images, out, strict=True):
        assert any(torch.equal(after, candidate) for candidate in _candidates(before, kind))


def _candidates(image: torch.Tensor, kind: str) -> list[torch.Tensor]:
    if kind == "flip":
        return [image, image.flip(2)]
    reach, mode = (2, "constant") if kind == "crop" else (1, "replicate")
    padded = torch.nn.functional.pad(image[None], (reach,) * 4, mode=mode)[0]
    return [padded[:, y : y + 16, x : x + 16] for y in range(2 * reach + 1) for x in range(2 * reach + 1)]
