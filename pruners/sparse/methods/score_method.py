"""What a method that scores single weights has to do."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from pruners.method import Method, Option
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.selection.shared_options import BY_IMAGES, SHARED_OPTIONS


class ScoreMethod(Method):
    """A way to say how much each weight matters; its artifact is a `Mask`.

    ``options`` holds the method's own; those of allocation and rounds, which every such method shares, come
    with `all_options`. ``rounds`` and ``schedule`` are the defaults of the options of these names.
    """

    kind: ClassVar[Literal["decomposition", "mask", "channels"]] = "mask"
    rounds: ClassVar[int] = 1
    schedule: ClassVar[Literal["linear", "exponential"]] = "exponential"
    options: ClassVar[tuple[Option, ...]] = ()

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Return the method's own options and the shared ones, these with the method's own defaults."""
        own = {"rounds": self.rounds, "schedule": self.schedule}
        return *self.options, *(
            replace(option, default=own.get(option.name, option.default)) for option in SHARED_OPTIONS
        )

    def signed(self, options: Mapping[str, Any]) -> bool:
        """Tell whether scores may be negative."""
        return False

    def wants_data(self, given: Mapping[str, Any]) -> bool:
        """Tell whether calibration images would be used: to allocate, or to refit the kept weights."""
        return given.get("allocation") in BY_IMAGES or given.get("refit", "none") != "none"

    def prepared(self, network: nn.Module, options: Mapping[str, Any]) -> nn.Module:
        """Return the network as the method scores it (another dtype, other values).

        It is made once, from a copy that may be changed.
        """
        return network

    @abstractmethod
    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Score ``weights``, the prunable ones of ``network``; the highest scores are kept.

        The network is a `prepared` copy in which removed weights are zero. ``alive`` holds a bool mask for
        each weight, False where it is removed already: such weights' scores are not looked at. The network's
        parameters and buffers must be afterwards as they were; every prunable weight requires a gradient.
        """
