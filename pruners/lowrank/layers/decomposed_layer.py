"""The modules that take a decomposed layer's place.

Thinner layers in sequence, still readable as the one that they replace.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pruners.network.counting.layer_chain import LayerChain


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


class Reordering(nn.Module):
    """Channels or features taken in another order, which copies all of them; ``order`` is a permutation.

    ``dimension`` counts from the last one.
    """

    order: Tensor

    def __init__(self, order: Tensor, dimension: int) -> None:
        super().__init__()
        self.register_buffer("order", order)
        self.dimension = dimension

    def forward(self, inputs: Tensor) -> Tensor:
        """Take the inputs in order."""
        return inputs.index_select(self.dimension, self.order)

    def extra_repr(self) -> str:
        """Return what print(model) shows of the layer."""
        return f"{len(self.order)}, dimension={self.dimension}"


class DecomposedLayer(LayerChain):
    """Layers that stand for one, behind a `Reordering` of their inputs in some (child ``reordering``)."""

    def layers(self) -> list[Any]:
        """Return the layers that have weights, in their order."""
        return [layer for layer in self if not isinstance(layer, Reordering)]

    def in_dense_order(self, weight: Tensor) -> Tensor:
        """Return a weight (filters x channels ...) for the layers' own inputs as one for those given here."""
        first = self[0]
        return weight[:, first.order.argsort()] if isinstance(first, Reordering) else weight


class DecomposedLinear(DecomposedLayer):
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
        first, second = (layer.weight for layer in self.layers())
        if first.dim() == 2:
            return second @ first
        joined = torch.einsum("okr,krm->okm", second.unflatten(1, first.shape[:2]), first)
        return self.in_dense_order(joined.flatten(1))


class DecomposedConv2d(DecomposedLayer):
    """A Conv2d as two to four, by its form; the last carries the bias.

    Of the usual form child ``0`` holds the subspaces' filters, and child ``1``, 1 x 1, mixes them. As
    `DecomposedLinear`, for what a parent reads of a Conv2d: its channels, kernel_size, stride and so on are
    the dense layer's.
    """

    stands_for: ClassVar[type[nn.Module]] = nn.Conv2d
    groups: int

    @property
    def weight(self) -> Tensor:
        """Multiply out the weights: out_channels x in_channels / groups x kernel.

        The product cannot be assigned.
        """
        joined = multiplied_out([(layer.weight, layer.groups) for layer in self.layers()], self.groups)
        return self.in_dense_order(joined)


def multiplied_out(layers: Sequence[tuple[Tensor, int]], groups: int) -> Tensor:
    """Return the kernel of convolutions in sequence: out_channels x in_channels / groups x kernel.

    ``layers`` are their weights with their own groups, multiples of ``groups``. No two of them span the same
    side of the kernel.
    """
    (first, slices), *rest = layers
    # groups x slices x channels made so far x channels of a slice x kernel so far
    kernel = first.reshape(groups, slices // groups, -1, *first.shape[1:])
    for weight, own_groups in rest:
        blocks = own_groups // groups
        each = weight.reshape(groups, blocks, len(weight) // own_groups, *weight.shape[1:])
        if blocks == 1:  # it takes every channel of every slice
            each = each.squeeze(1).unflatten(2, kernel.shape[1:3])
            joined = torch.einsum("gohrpq,ghrcab->gohcpaqb", each, kernel).flatten(2, 3)
        else:
            apart = kernel.squeeze(1).unflatten(1, (blocks, -1))
            joined = torch.einsum("ghoipq,ghicab->ghocpaqb", each, apart).flatten(1, 2)
        kernel = joined.flatten(5, 6).flatten(3, 4).unsqueeze(1)
    return kernel.flatten(0, 2)
