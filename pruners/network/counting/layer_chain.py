"""Layers that stand for one."""

from typing import Any

from torch import Tensor, nn


class LayerChain(nn.Sequential):
    """Two or more layers in sequence, each of which may be a chain in turn.

    Where a parent reads the chain's ``weight``, a subclass multiplies out the layers' weights. That product
    is the same for every example, and `pruners.cost` leaves it out: such a parent multiplies as often as with
    the dense layer.
    """

    # torch.jit.script compiles the forward pass alone, which is nn.Sequential's
    __jit_unused_properties__ = ("_last", "bias", "weight")

    @property
    def _last(self) -> Any:
        return self[-1]

    @property
    def bias(self) -> Tensor | None:
        """Return the bias of the layer that was decomposed."""
        bias: Tensor | None = self._last.bias
        return bias
