"""The second moment of what a layer is given."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Moment:
    """Mean and second moment of a layer's input columns, per group, in float64 on the CPU.

    A column is what one output position of a convolution sees of one group: ``n`` = in_channels / groups *
    kernel values in the order of the folded weight; a Linear's is its input features. ``second`` (groups x n
    x n) is the sum of the columns' outer products divided by their number ``columns``; ``mean`` (groups x n)
    is their mean. The mean squared output error of a weight W' (rows x n) in place of W is hence
    trace((W - W') second (W - W')^T).
    """

    second: Tensor
    mean: Tensor
    columns: int

    @classmethod
    def of_sums(cls, second: Tensor, first: Tensor, columns: int) -> "Moment":
        """Divide sums over columns by their number; of ``second`` only what is on and above the diagonal.

        ``second`` is changed.
        """
        second.div_(columns).triu_()
        second += second.triu(1).mT
        return cls(second.cpu(), (first / columns).cpu(), columns)

    def tensors(self) -> dict[str, Tensor]:
        """Return the moment as tensors for a file."""
        return {"second": self.second, "mean": self.mean, "columns": torch.tensor(self.columns)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Moment":
        """Make the moment of what `tensors` gave."""
        return cls(tensors["second"], tensors["mean"], int(tensors["columns"]))
