"""What a user of the framework writes in a module of their own, good and bad."""

import os
import signal
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset

import trainables
from trainables.store.lease import lease


def network(width: int = 24, dropout: float = 0.2) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(64 * width, 10),
    )


def batch_network() -> nn.Module:
    """It takes no batch of one, not even in eval mode."""
    norm = nn.BatchNorm1d(32, track_running_stats=False)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), norm, nn.ReLU(), nn.Linear(32, 10))


def undecided_network() -> nn.Module:
    """It goes by the values of its inputs, which no graph can."""
    return Undecided()


class Undecided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1)) * (1 if images.sum() > 0 else -1)


def broken_network() -> nn.Module:
    raise RuntimeError("no weights\nfor you")


def no_network() -> str:
    return "a network, honestly"


def tuple_network() -> nn.Module:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    return Pair()


not_callable = 3


def blobs(per_class: int = 40, classes: int = 3) -> dict[str, tuple[Tensor, Tensor]]:
    labels = torch.arange(classes).repeat(per_class)
    inputs = functional.one_hot(labels, 8).float() + 0.1 * torch.randn(
        len(labels), 8, generator=torch.Generator().manual_seed(0)
    )
    return {
        "train": (inputs, labels),
        "validation": (inputs[:30], labels[:30]),
        "test": (inputs[30:60], labels[30:60]),
    }


def blob_network(classes: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, classes))


def pixels_network() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
    )


def blob_network_like_pixels() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3)
    )


def drawn() -> dict[str, tuple[Tensor, Tensor]]:
    return {name: (torch.randn(20, 8), torch.randint(3, (20,))) for name in ("train", "validation", "test")}


def datasets() -> dict[str, Dataset]:
    splits = blobs()
    return {**{name: TensorDataset(*pair) for name, pair in splits.items()}, "num_classes": 3}


def ready_data() -> trainables.Data:
    return trainables.from_splits(
        [trainables.StreamedSplit(TensorDataset(*pair), workers=1) for pair in blobs().values()],
        num_classes=3,
    )


def list_data() -> list[int]:
    return [1, 2, 3]


def without_test() -> dict[str, tuple[Tensor, Tensor]]:
    return {name: pair for name, pair in blobs().items() if name != "test"}


def misspelt() -> dict[str, tuple[Tensor, Tensor]]:
    return {"valdiation" if name == "validation" else name: pair for name, pair in blobs().items()}


def uneven() -> dict[str, tuple[Tensor, Tensor]]:
    inputs, labels = blobs()["train"]
    return {**blobs(), "train": (inputs[:-1], labels)}


def float_labels() -> dict[str, tuple[Tensor, Tensor]]:
    inputs, labels = blobs()["train"]
    return {**blobs(), "train": (inputs, labels.float())}


def string_split() -> dict[str, object]:
    return {**blobs(), "test": "later"}


def countless() -> dict[str, Dataset]:
    return {name: TensorDataset(*pair) for name, pair in blobs().items()}


def smooth_l1(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.smooth_l1_loss(outputs.softmax(1), functional.one_hot(labels, outputs.shape[1]).float())


def raising_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    raise LookupError("the loss is elsewhere")


def nan_validation_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy that knows no answer where nothing is trained."""
    return functional.cross_entropy(outputs, labels) * (1 if outputs.requires_grad else float("nan"))


takes_over: list[Path] = []


def overtaken_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy, meanwhile the leases on the folders in ``takes_over`` go to another process."""
    while takes_over:
        with lease(takes_over.pop()):
            pass
    return functional.cross_entropy(outputs, labels)


def interrupted_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    raise KeyboardInterrupt


_calls = 0


def deadly_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy that kills its own process with -9 at the training step that DIE_AT names."""
    global _calls
    if outputs.requires_grad:
        _calls += 1
        if _calls == int(os.environ.get("DIE_AT", -1)):
            os.kill(os.getpid(), signal.SIGKILL)
    return functional.cross_entropy(outputs, labels)


def sentences(samples: int = 60, tokens: int = 6) -> dict[str, tuple[Tensor, Tensor]]:
    """Tokens (n, 4), to be classified by the first."""
    inputs = torch.randint(0, tokens, (samples, 4), generator=torch.Generator().manual_seed(0))
    return {
        "train": (inputs, inputs[:, 0]),
        "validation": (inputs[:30], inputs[:30, 0]),
        "test": (inputs[30:], inputs[30:, 0]),
    }


def token_network() -> nn.Module:
    return nn.Sequential(nn.Embedding(6, 2), nn.Flatten(), nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 6))


class TiedDecoder(nn.Module):
    """A head that is the embedding, of which either may be defined first, and attention between them."""

    def __init__(self, first: str = "encoder", tokens: int = 6, width: int = 8) -> None:
        super().__init__()
        self.add_module(
            first, nn.Embedding(tokens, width) if first == "encoder" else nn.Linear(width, tokens, bias=False)
        )
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        if first == "encoder":
            self.head = nn.Linear(width, tokens, bias=False)
            self.head.weight = self.encoder.weight
        else:
            self.encoder = nn.Embedding(tokens, width)
            self.encoder.weight = self.head.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.encoder(tokens)
        return self.head((x + self.attention(x, x, x, need_weights=False)[0])[:, 0])


class Exact(nn.Module):
    """A network in float64 that normalises nothing: what several processes make of it is what one does."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 6, 3, padding=1, dtype=torch.float64)
        self.layer = nn.Linear(6 * 64, 10, dtype=torch.float64)
        self.idle = nn.Linear(2, 2, dtype=torch.float64)  # takes no gradient

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(functional.relu(self.convolution(images.double())).flatten(1))


def exact_network() -> nn.Module:
    return Exact()


_calls = 0


def loss_of_processes(outputs: Tensor, labels: Tensor) -> Tensor:
    """In the 20th step of the second process what SECOND says happens, once where ONCE is a file to be.

    It "raises", "dies", or "waits" for ever.
    """
    global _calls
    _calls += 1
    wanted, once = os.environ.get("SECOND"), Path(os.environ.get("ONCE", os.devnull))
    distributed = torch.distributed
    if wanted and _calls == 20 and distributed.is_initialized() and distributed.get_rank() == 1:
        if wanted == "raises":
            raise ValueError("the second will not")
        if not once.exists():
            once.touch()
            if wanted == "waits":
                signal.pause()
            os.kill(os.getpid(), signal.SIGKILL)
    return functional.cross_entropy(outputs, labels)
