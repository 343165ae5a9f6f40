"""Two layers that stand for one."""

from typing import Any

from torch import Tensor, nn


class LayerPair(nn.Sequential):
    """Two layers in sequence, each of which may be a pair in turn.

    Where a parent reads the pair's ``weight``, a subclass multiplies out the two layers' weights. That
    product is the same for every example, and `pruners.cost` leaves it out: such a parent multiplies as often
    as with the dense layer.
    """

    # torch.jit.script compiles the forward pass alone, which is nn.Sequential's
    __jit_unused_properties__ = ("_first", "_second", "bias", "weight")

    @property
    def _first(self) -> Any:
        return self[0]

    @property
    def _second(self) -> Any:
        return self[1]

    @property
    def bias(self) -> Tensor | None:
        """Return the bias of the layer that was decomposed."""
        bias: Tensor | None = self._second.bias
        return bias
