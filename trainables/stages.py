"""The stages that recipes are made of: frozen, so that a list of them says exactly what a network went through."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Train:
    """Train with a fresh optimiser from epoch ``start`` to ``stop`` of a schedule ``horizon`` epochs long."""

    start: int
    stop: int
    horizon: int


@dataclass(frozen=True)
class Compress:
    """Replace the network by what ``method`` makes of it under the budget; the fields are `pruners.compress`'s arguments."""

    method: str
    budget: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    tolerance: dict[str, float] = field(default_factory=dict)
    layers: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class RecalibrateBN:
    """Estimate BatchNorm's running statistics again on ``images`` training images."""

    images: int


Stage = Train | Compress | RecalibrateBN
Recipe = tuple[Stage, ...]
"""What a trial does."""


def identity(stage: Stage) -> dict[str, Any]:
    """A stage as plain data, for the address of what comes after it."""
    return {"stage": type(stage).__name__, **asdict(stage)}
