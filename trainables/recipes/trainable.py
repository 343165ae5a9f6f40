"""What a trainable says of itself: its stages, and all that sweeps must know of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from trainables.config import TrialConfig
from trainables.stages import Recipe

_SECTIONS = ("lottery", "gradual", "dynamic_sparse", "learning_compression")
"""The sections that belong to one trainable, each named as it is."""


def sections_of_others(own: str = "") -> dict[str, str]:
    """Return the sections that a trainable called ``own`` does not use, each with the reason."""
    return {name: f"the section is that of trainable {name}" for name in _SECTIONS if name != own}


TRAINS_ANEW = {
    "compression.retrain_epochs": "after pruning it trains for training.epochs",
    "compression.cascade": "its steps are retrained, and here nothing is",
    "compression.recalibrate_bn": "training after pruning estimates BatchNorm's statistics anyway",
}
"""What a trainable does not use that trains over the whole schedule after pruning."""
NO_TEACHER = {"compression.distillation": "it prunes before a dense network is trained to its end"}
"""What a trainable does not use that has no trained dense network."""


@dataclass(frozen=True)
class Reported:
    """What a trial reports before its end: once for each of ``unit``, as many as the file's ``key`` says.

    Where the key ``first`` is not 0 it says how many.
    """

    unit: str
    key: str
    first: str | None = None


class Trainable(ABC):
    """A way from a configuration to a small network; to add one, subclass it and list it in `RECIPES`."""

    name: ClassVar[str]
    """What the sweep file's key ``trainable`` calls it."""
    reports: ClassVar[Reported] = Reported("epochs", "training.epochs")
    """What early stopping and progress count."""
    unused: ClassVar[Mapping[str, str]] = sections_of_others()
    """Sections, and keys such as ``compression.retrain_epochs``, that it does not use, each with the reason.
    """
    kind: ClassVar[Literal["mask", "decomposition"] | None] = None
    """The one kind of method that it goes with; None: any."""
    trains_dense: ClassVar[bool] = True
    """Whether its stages begin with the dense network's training."""
    compresses_trained: ClassVar[bool] = False
    """Whether it compresses the trained dense network, so that the outputs' divergence from it tells much."""
    in_levels: ClassVar[bool] = False
    """Whether a trial goes through levels, each with tracks of its own, rather than through one recipe."""

    @abstractmethod
    def stages(self, config: TrialConfig, steps_per_epoch: int) -> Recipe:
        """Return a trial's stages, of levels those of the last; ``steps_per_epoch`` counts optimiser steps.

        Raises `TaskError` for a configuration of which no recipe can be made.
        """

    def keep_at(self, config: TrialConfig, searched: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        """Return where in the dense training (``2ep``, ``500it``) any trial of a sweep may want its network.

        ``searched`` holds, by their keys in the sweep file, what the settings that are searched may be.
        """
        return ()
