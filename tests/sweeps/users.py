"""A user's own module, right and wrong."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from trainables import ProcessLost


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def one_dimensional() -> nn.Module:
    """1,536 weights of a Conv1d, 640 of a Linear, 42 biases."""
    body = (nn.Flatten(), nn.Unflatten(1, (16, 4)), nn.Conv1d(16, 32, 3), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*body, nn.Linear(64, 10))


def raises() -> nn.Module:
    raise RuntimeError("no GPU\ntoday")


def returns_text() -> str:
    return "a network"


def takes_three_inputs() -> nn.Module:
    return nn.Linear(3, 10)


def three_classes() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def data_of_a_number() -> int:
    return 5


def data_without_test() -> dict[str, tuple[Tensor, Tensor]]:
    pair = (torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.long))
    return {"train": pair, "validation": pair}


not_callable = 3


class _Strict(nn.Module):
    """Linear layers that, 24 wide, can be trained for three steps only: not seen before a trial runs."""

    def __init__(self, hidden: int):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
        self.hidden, self.steps = hidden, 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps > 3 and self.hidden == 24:
            raise RuntimeError("24 is a bad number")
        return self.body(x)


def fails_in_training(hidden: int = 16) -> nn.Module:
    return _Strict(hidden)


class _Diverging(nn.Module):
    """A network whose outputs are no numbers once it has been trained for three steps, and fine before."""

    def __init__(self, broken: bool):
        super().__init__()
        self.body = nn.Linear(64, 10)
        self.broken, self.steps = broken, 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        outputs: Tensor = self.body(x.flatten(1))
        return outputs * float("nan") if self.steps > 3 and self.broken else outputs


def diverging(broken: bool = True) -> nn.Module:
    return _Diverging(broken)


class _NotFinite(nn.Module):
    """A network that trains well, and whose outputs are no numbers once it is judged after that."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        outputs: Tensor = self.body(x)
        return outputs if self.training or self.steps < 3 else outputs * float("nan")


def not_finite_when_judged() -> nn.Module:
    return _NotFinite()


class _NotFiniteOnceSmaller(nn.Module):
    """A network whose outputs are no numbers once its first layer is another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.second(self.first(x.flatten(1)).relu())
        return outputs if type(self.first) is nn.Linear or self.training else outputs * float("nan")


def not_finite_once_smaller() -> nn.Module:
    return _NotFiniteOnceSmaller()


def interrupted_when_asked(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy, until a file tells it that a person presses Ctrl-C."""
    flag = Path(os.environ.get("INTERRUPT", "nowhere"))
    if outputs.requires_grad and flag.exists():
        flag.unlink()
        raise KeyboardInterrupt
    return nn.functional.cross_entropy(outputs, labels)


def lost_once(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy, but the first training that meets it loses a process."""
    flag = Path(os.environ["LOST"])
    if len(labels) > 100 and not flag.exists():
        flag.touch()
        raise ProcessLost("process 2 of the 2 that share the training was lost: it ended (no such library)")
    return nn.functional.cross_entropy(outputs, labels)


def own_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, labels)


class _Broken(nn.Module):
    """Linear layers that fail after three steps of training while the environment's BROKEN says how."""

    def __init__(self, which: str):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
        self.which, self.steps = which, 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps > 3 and "BROKEN" in os.environ:
            raise RuntimeError(" ".join([os.environ["BROKEN"], self.which]))
        return self.body(x)


def broken_while_told(which: str = "") -> nn.Module:
    return _Broken(which)
