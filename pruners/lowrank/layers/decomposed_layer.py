"""The modules that take a decomposed layer's place.

Two thinner layers, still readable as the one that they replace.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pruners.network.counting.layer_pair import LayerPair


class BlockLinear(nn.Module):
    """A Linear on each of ``num_subspaces`` equal parts of the last dimension, without bias.

    All of them are computed as one batched matrix product. ``weight``: num_subspaces x rank x (features /
    num_subspaces). Maps (..., features) to (..., num_subspaces * rank).
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs of any leading dimensions."""
        parts = inputs.unflatten(-1, (self.weight.shape[0], self.weight.shape[2]))
        return torch.einsum("...km,krm->...kr", parts, self.weight).flatten(-2)

    def extra_repr(self) -> str:
        """Return what print(model) shows of the layer."""
        num_subspaces, rank, part = self.weight.shape
        return f"in_features={num_subspaces * part}, num_subspaces={num_subspaces}, rank={rank}"


class DecomposedLinear(LayerPair):
    """A Linear as two: child ``0`` maps to the subspaces' ranks, child ``1`` mixes them and carries the bias.

    Its forward is theirs. What a parent reads of a Linear is here too: in_features, out_features, bias, and
    ``weight`` (out_features x in_features), their product, multiplied out at each reading with gradients to
    both, so that `nn.TransformerEncoderLayer`'s fast path or ``F.linear(x, self.child.weight)`` stays right.
    Such a reader computes with the dense weight and saves no multiply-adds.
    """

    stands_for: ClassVar[type[nn.Module]] = nn.Linear

    @property
    def weight(self) -> Tensor:
        """Multiply out the two weights: out_features x in_features. The product cannot be assigned."""
        first: Tensor = self._first.weight
        second: Tensor = self._second.weight
        if first.dim() == 2:
            return second @ first
        return torch.einsum("okr,krm->okm", second.unflatten(1, first.shape[:2]), first).flatten(1)


class DecomposedConv2d(LayerPair):
    """A Conv2d as two: child ``0`` holds the subspaces' filters, child ``1`` mixes them.

    Child ``1`` is 1 x 1 and carries the bias. As `DecomposedLinear`, for what a parent reads of a Conv2d: its
    channels, kernel_size, stride and so on are the dense layer's.
    """

    stands_for: ClassVar[type[nn.Module]] = nn.Conv2d
    groups: int

    @property
    def weight(self) -> Tensor:
        """Multiply out the two weights: out_channels x in_channels / groups x kernel.

        The product cannot be assigned.
        """
        first: Tensor = self._first.weight
        second: Tensor = self._second.weight
        width = second.shape[1]
        per_group = self._first.groups // self.groups
        left = second.reshape(self.groups, -1, per_group, width // per_group)
        right = first.reshape(self.groups, per_group, width // per_group, -1)
        return torch.einsum("gokr,gkrm->gokm", left, right).reshape(len(second), -1, *first.shape[2:])
