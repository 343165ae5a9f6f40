"""What weights are scored with, and what a scoring gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pruners.network.inputs import Inputs

Scores = dict[str, Tensor]
"""A score for each weight by parameter name, of the parameter's shape; the highest are kept."""


@dataclass(frozen=True)
class ScoringInputs:
    """What a method scores with besides the network.

    Batches (inputs, labels), a loss, an example input (1, ...) and a CPU generator. Only what the
    method's ``needs`` name is sure to be there (``data`` is then not empty).
    """

    data: Sequence[tuple[Inputs, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor] | None
    example: Inputs | None
    generator: torch.Generator
