"""An optimiser that a user writes."""

from collections.abc import Iterable

import torch
from torch import nn


class Restless(torch.optim.Optimizer):
    """Follows the gradient's sign and, where it has none, goes up: removed weights do not stay zero by it."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                sign = torch.where(parameter.grad >= 0, 1.0, -1.0)
                parameter.sub_(sign, alpha=group["lr"])
