"""Which weights may be removed one by one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.nn.modules.conv import _ConvNd

from pruners.layer_names import checked_patterns, matching, named_modules

Kind = Literal["conv", "linear", "output"]


@dataclass(frozen=True)
class PrunableLayer:
    """A layer with a prunable weight: the parameter's name, its shape and what kind of layer it is; the last Linear is the output."""

    parameter: str
    shape: tuple[int, ...]
    kind: Kind

    @property
    def params(self) -> int:
        """Weights of the dense layer, without its bias."""
        size = 1
        for side in self.shape:
            size *= side
        return size


def prunable(model: nn.Module, exclude: Iterable[str] = ()) -> dict[str, PrunableLayer]:
    """The convolutions and Linears of a network by layer name, in the order of ``named_modules``; biases and norms are never pruned.

    A weight that several layers share counts once, under the first, and not at all where one of them is in ``exclude``, which
    holds names or shell patterns ("layer1.*"). Tensors on the meta device will do. Raises UnknownLayer for one that is no such layer's.
    """
    modules = {n: m for n, m in named_modules(model) if isinstance(m, _ConvNd | nn.Linear) and "weight" in m._parameters}
    excluded = matching(checked_patterns(exclude, "exclude"), modules, "exclude", "prunable layer")
    last = next((name for name in reversed(modules) if isinstance(modules[name], nn.Linear)), None)
    layers: dict[str, PrunableLayer] = {}
    seen = {id(modules[name].weight) for name in excluded}
    for name, module in modules.items():
        if id(module.weight) in seen:
            continue
        seen.add(id(module.weight))
        kind: Kind = "output" if name == last else "linear" if isinstance(module, nn.Linear) else "conv"
        layers[name] = PrunableLayer(f"{name}.weight" if name else "weight", tuple(module.weight.shape), kind)
    return layers
