"""Which weights may be removed one by one."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.nn.modules.conv import _ConvNd

from pruners.errors import PrunerError
from pruners.network.layer_names import matching_layers, named_modules
from pruners.network.readiness import check_initialized
from pruners.option_values import LAYERS

Kind = Literal["conv", "linear", "output"]

PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
"""Weights that `nn.MultiheadAttention` keeps without a Linear around them; the first holds all three."""


@dataclass(frozen=True)
class PrunableLayer:
    """A layer with a prunable weight: the parameter's name, shape and kind; the last Linear is the output."""

    parameter: str
    shape: tuple[int, ...]
    kind: Kind

    @property
    def params(self) -> int:
        """Count the weights of the dense layer, without its bias."""
        return math.prod(self.shape)


def prunable(model: nn.Module, exclude: Iterable[str] = ()) -> dict[str, PrunableLayer]:
    """Return the prunable weights of a network by layer name, in the order of ``named_modules``.

    Convolutions, Linears and attention's projections have one; biases, norms, embeddings and recurrent layers
    are never pruned. A weight that is no module's ``weight`` goes by its own name: ``nn.MultiheadAttention``
    called "attention" has the layer "attention.in_proj_weight" (or q_proj_weight, k_proj_weight and
    v_proj_weight) beside its Linear "attention.out_proj". A weight that several layers share counts once,
    under the first, and not at all where one of them is in ``exclude``, which holds names or shell patterns
    ("layer1.*"). Tensors on the meta device will do. Raises UnknownLayer for one that is no such layer's.
    """
    check_initialized(model)
    weights = {
        name: found
        for module_name, module in named_modules(model)
        for name, found in _weights(module_name, module)
    }
    excluded = matching_layers(LAYERS.checked(exclude, "exclude"), weights, "exclude", "prunable layer")
    last = next(
        (name for name, (module, _) in reversed(weights.items()) if isinstance(module, nn.Linear)), None
    )
    layers: dict[str, PrunableLayer] = {}
    seen = {id(_parameter(*weights[name])) for name in excluded}
    for name, (module, attribute) in weights.items():
        weight = _parameter(module, attribute)
        if id(weight) in seen:
            continue
        seen.add(id(weight))
        kind: Kind = "output" if name == last else "conv" if isinstance(module, _ConvNd) else "linear"
        layers[name] = PrunableLayer(
            _joined(name, attribute) if attribute == "weight" else name, tuple(weight.shape), kind
        )
    return layers


def layers_to_prune(model: nn.Module, exclude: Iterable[str]) -> dict[str, PrunableLayer]:
    """Return what `prunable` returns; PrunerError where there is nothing to prune."""
    layers = prunable(model, exclude)
    if not layers:
        outside = " outside of exclude" if exclude else ""
        raise PrunerError(
            f"The network has no convolution and no Linear{outside} whose weights could be removed."
        )
    return layers


def linear_weights(module: nn.Module) -> list[nn.Parameter]:
    """Return a module's weights that multiply features: a Linear's own, or an attention's projections."""
    return [_parameter(*found) for _, found in _weights("", module) if not isinstance(module, _ConvNd)]


def _weights(name: str, module: nn.Module) -> Iterator[tuple[str, tuple[nn.Module, str]]]:
    """Iterate over one module's layers: name, the module that holds the weight, the weight's attribute."""
    if isinstance(module, _ConvNd | nn.Linear) and "weight" in module._parameters:
        yield name, (module, "weight")
    if isinstance(module, nn.MultiheadAttention):
        for attribute in PROJECTIONS:
            if module._parameters.get(attribute) is not None:
                yield _joined(name, attribute), (module, attribute)


def _parameter(module: nn.Module, attribute: str) -> nn.Parameter:
    weight = getattr(module, attribute)
    assert isinstance(weight, nn.Parameter)
    return weight


def _joined(module: str, attribute: str) -> str:
    return f"{module}.{attribute}" if module else attribute
