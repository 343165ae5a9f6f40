"""The weights that no choice of a method can remove, because it does not know them for a layer's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from pruners.errors import PrunerWarning
from pruners.lowrank.layers.decomposed_layer import BlockLinear
from pruners.lowrank.layers.shapes import compressible_modules, why_not_decomposable
from pruners.methods import method_named
from pruners.network.layer_names import check_module, named_modules, named_parameters
from pruners.network.readiness import check_initialized
from pruners.sparse.selection.prunable import prunable

_NEGLIGIBLE = 0.01
"""Less than this share of a network's parameters outside the budget is not worth a warning."""

_NAMED = 3

_LAYERS = (
    _ConvNd,
    nn.Linear,
    nn.Bilinear,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
)

_NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


@dataclass(frozen=True)
class Unreached:
    """A parameter outside every budget.

    Its number of weights, their share of the network's parameters, and why in a clause.
    """

    weights: int
    share: float
    reason: str


class UnreachedWarning(PrunerWarning):
    """A budget is about part of the network only."""


def unreached(model: nn.Module, method: str = "alds") -> dict[str, Unreached]:
    """List the parameters that a method leaves as they are, whatever the budget.

    They are by name, in the order of ``named_parameters``. They are no part of the weights that
    ``keep_ratio`` is a share of. Listed are matrices, kernels and tensors of more dimensions, not biases,
    norms and other vectors; tensors on the meta device will do. Raises UnknownMethod, and PrunerError for a
    network that has no shapes yet.
    """
    check_module(model)
    check_initialized(model)
    kind = method_named(method).kind
    reached = {id(weight) for weight in _reached(model, kind)}
    total = sum(parameter.numel() for parameter in model.parameters())
    return {
        name: Unreached(weight.numel(), weight.numel() / total, _reason(holder, kind))
        for name, weight, holder in _weights(model)
        if id(weight) not in reached
    }


def unreached_sentence(method: str, found: Mapping[str, Unreached]) -> str:
    """Say how much of the network a method's budget leaves out, and the largest parts.

    Nothing where that is below one per cent.
    """
    share = sum(one.share for one in found.values())
    if share < _NEGLIGIBLE:
        return ""
    largest = sorted(found, key=lambda name: -found[name].weights)[:_NAMED]
    named = "; ".join(f"{name!r} ({100 * found[name].share:.1f} %: {found[name].reason})" for name in largest)
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return (
        f"Method {method} leaves {100 * share:.1f} % of the network's parameters as they are, "
        f"outside its budget: {named}{more}."
    )


def _reached(model: nn.Module, kind: str) -> Iterator[Tensor]:
    if kind == "decomposition":
        # those with a shared weight stay dense, but count in the budget and are warned of by name
        yield from (module.weight for module in compressible_modules(model).values())
    else:
        parameters = named_parameters(model)
        yield from (parameters[layer.parameter] for layer in prunable(model).values())


def _weights(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, nn.Module]]:
    """List name, parameter and holder of everything that a layer could multiply by, each parameter once."""
    seen: set[int] = set()
    for path, module in named_modules(model):
        if isinstance(module, _NORMS):
            continue
        own = {
            name: p for name, p in module._parameters.items() if p is not None and p.dim() >= 2 and p.numel()
        }
        largest = max((p.numel() for p in own.values()), default=0)
        for name, parameter in own.items():
            # the magnitudes of weight_norm are a vector, a class token is one, a Linear to one output is not
            vector = parameter.numel() == max(parameter.shape)
            if vector and (
                parameter.numel() < largest
                or not isinstance(module, (*_LAYERS, parametrize.ParametrizationList))
            ):
                continue
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield f"{path}.{name}" if path else name, parameter, module


def _reason(holder: nn.Module, kind: str) -> str:
    what = type(holder).__name__
    if isinstance(holder, parametrize.ParametrizationList):
        return (
            f"{' and '.join(type(step).__name__.lstrip('_') for step in holder)} computes the layer's weight"
        )
    if isinstance(holder, _ConvNd | nn.Linear) and "weight" not in holder._parameters:
        return f"{_hook(holder)} computes the layer's weight"
    if isinstance(holder, nn.MultiheadAttention):
        return "MultiheadAttention multiplies by it itself"
    if kind != "decomposition":
        removed = "masks" if kind == "mask" else "channels"
        return f"{removed} are for convolutions, Linears and attention, this is of {what}"
    if isinstance(holder, BlockLinear):
        return "an earlier decomposition made it"
    if isinstance(holder, nn.Conv2d | nn.Linear):
        return why_not_decomposable(holder) or "MultiheadAttention multiplies by it itself"
    return f"decompositions are of Conv2d and Linear, this is of {what}"


def _hook(layer: nn.Module) -> str:
    """Tell which of torch's older ways computes a layer's weight before each forward pass."""
    if "weight_g" in layer._parameters:
        return "weight_norm"
    if "weight_mask" in layer._buffers:
        return "torch.nn.utils.prune"
    return "spectral_norm" if "weight_u" in layer._buffers else "a hook"
