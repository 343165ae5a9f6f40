"""What a method that scores channels has to do."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from pruners.channels.grouping.groups import ChannelGroup
from pruners.method import Method, Option
from pruners.network.inputs import Inputs
from pruners.option_values import LAYERS, Choice, Whole

ALLOCATIONS = ("global", "uniform")

CHANNEL_OPTIONS = (
    Option(
        "allocation",
        "uniform",
        "which channel groups keep how much: global (the channels with the best scores wherever they are), "
        "uniform (about the same share of every group)",
        Choice(ALLOCATIONS),
    ),
    Option(
        "round_to",
        1,
        "channels kept are multiples of this, 8 for example, in every channel group that has so many; in "
        "attention, features of the heads kept are",
        Whole(1, 2**31),
    ),
    Option(
        "exclude",
        (),
        "names of layers whose output channels all stay, or patterns (layer1.*); their weights still count",
        LAYERS,
    ),
)


@dataclass(frozen=True)
class ChannelInputs:
    """What a method scores channels with besides the network, on the network's device.

    An example input (1, ...), batches of inputs with their labels where the method needs a loss (else there
    are no labels), the loss, and a CPU generator. Batches and loss are there where the method's ``needs``
    name them.
    """

    example: Inputs
    batches: Sequence[Inputs]
    labels: Sequence[Tensor]
    loss: Callable[[Any, Tensor], Tensor] | None
    generator: torch.Generator


class ChannelMethod(Method):
    """A way to say how much each channel matters; its artifact is a `Channels`.

    ``options`` holds the method's own; those that every such method shares come with `all_options`, of which
    ``allocation`` is the default of the option of this name.
    """

    kind: ClassVar[Literal["decomposition", "mask", "channels"]] = "channels"
    needs: ClassVar[tuple[str, ...]] = ("example",)
    allocation: ClassVar[Literal["global", "uniform"]] = "uniform"
    options: ClassVar[tuple[Option, ...]] = ()

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Return the method's own options and the shared ones."""
        own = {"allocation": self.allocation}
        return *self.options, *(
            replace(option, default=own.get(option.name, option.default)) for option in CHANNEL_OPTIONS
        )

    @abstractmethod
    def scores(
        self,
        network: nn.Module,
        groups: Mapping[str, ChannelGroup],
        scoring_inputs: ChannelInputs,
        options: Mapping[str, Any],
    ) -> dict[str, Tensor]:
        """Score the channels of each group; the highest are kept. A group without scores stays whole.

        ``network`` is a copy of the dense network, in eval mode, that may be run and whose parameters all
        require a gradient; its parameters and buffers must be afterwards as they were. The scores of a group
        are a tensor of as many as it has channels.
        """
