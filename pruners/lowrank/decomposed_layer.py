"""The modules that take a decomposed layer's place: two thinner layers, still readable as the one that they replace."""

import torch
from torch import Tensor, nn

from pruners.layer_pair import LayerPair


class BlockLinear(nn.Module):
    """A Linear on each of ``num_subspaces`` equal parts of the last dimension, as one batched matrix product, without bias.

    ``weight``: num_subspaces x rank x (features / num_subspaces). Maps (..., features) to (..., num_subspaces * rank).
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Any leading dimensions."""
        parts = inputs.unflatten(-1, (self.weight.shape[0], self.weight.shape[2]))
        return torch.einsum("...km,krm->...kr", parts, self.weight).flatten(-2)

    def extra_repr(self) -> str:
        """Shown by print(model)."""
        num_subspaces, rank, part = self.weight.shape
        return f"in_features={num_subspaces * part}, num_subspaces={num_subspaces}, rank={rank}"


class DecomposedLinear(LayerPair):
    """A Linear as two: child ``0`` maps to the subspaces' ranks, child ``1`` mixes them and carries the bias.

    Its forward is theirs. What a parent reads of a Linear is here too: ``weight`` (out_features x in_features) is their
    product, multiplied out at each reading with gradients to both, so that `nn.TransformerEncoderLayer`'s fast path or
    ``F.linear(x, self.child.weight)`` stays right. Such a reader computes with the dense weight and saves no multiply-adds.
    """

    @property
    def weight(self) -> Tensor:
        """The product of the two weights: out_features x in_features. It cannot be assigned."""
        first: Tensor = self._first.weight
        second: Tensor = self._second.weight
        if first.dim() == 2:
            return second @ first
        return torch.einsum("okr,krm->okm", second.unflatten(1, first.shape[:2]), first).flatten(1)

    @property
    def in_features(self) -> int:
        """Features of an input."""
        first: Tensor = self._first.weight
        return first.shape[-1] if first.dim() == 2 else first.shape[0] * first.shape[2]

    @property
    def out_features(self) -> int:
        """Features of an output."""
        return int(self._second.out_features)


class DecomposedConv2d(LayerPair):
    """A Conv2d as two: child ``0`` holds the subspaces' filters, child ``1`` is 1 x 1, mixes them and carries the bias.

    As `DecomposedLinear`, for what a parent reads of a Conv2d.
    """

    @property
    def weight(self) -> Tensor:
        """The product of the two weights: out_channels x in_channels / groups x kernel. It cannot be assigned."""
        first: Tensor = self._first.weight
        second: Tensor = self._second.weight
        groups, width = self.groups, second.shape[1]
        per_group = self._first.groups // groups
        left = second.reshape(groups, -1, per_group, width // per_group)
        right = first.reshape(groups, per_group, width // per_group, -1)
        return torch.einsum("gokr,gkrm->gokm", left, right).reshape(len(second), -1, *first.shape[2:])

    @property
    def in_channels(self) -> int:
        """Channels of an input."""
        return int(self._first.in_channels)

    @property
    def out_channels(self) -> int:
        """Channels of an output."""
        return int(self._second.out_channels)

    @property
    def groups(self) -> int:
        """Groups of the layer that was decomposed."""
        return int(self._second.groups)

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """Height and width."""
        return tuple(self._first.kernel_size)

    @property
    def stride(self) -> tuple[int, ...]:
        """Height and width."""
        return tuple(self._first.stride)

    @property
    def padding(self) -> tuple[int, ...] | str:
        """Height and width, ``same`` or ``valid``."""
        padding: tuple[int, ...] | str = self._first.padding
        return padding

    @property
    def dilation(self) -> tuple[int, ...]:
        """Height and width."""
        return tuple(self._first.dilation)

    @property
    def padding_mode(self) -> str:
        """As of `nn.Conv2d`."""
        return str(self._first.padding_mode)
