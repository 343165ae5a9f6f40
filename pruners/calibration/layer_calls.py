"""Which layers a network calls, in which order, and which of them may have outputs off by a constant."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruners.calibration.moments.columns import Layer
from pruners.network.counting.multiply_adds import as_defined
from pruners.network.forward_pass import REFUSED, evaluating, naming_refusals
from pruners.network.inputs import Inputs, forward_on_copy, layer_input, take_inputs
from pruners.network.layer_names import named_parameters, unwrapped

_IMAGES = 2  # some networks take no batch of one


@dataclass(frozen=True)
class LayerCall:
    """How often a layer is called in one pass, and what takes care of a constant offset of its outputs.

    ``bias`` is its own where no other module uses it too. ``into_batchnorm``: all its outputs go as they are
    into BatchNorm, which subtracts their mean again. ``scale`` is what BatchNorm then multiplies each output
    channel by, None where that is not one and the same BatchNorm with running statistics; ``norm`` is that
    BatchNorm where it is given nothing else.
    """

    times: int
    bias: Tensor | None
    into_batchnorm: bool
    scale: Tensor | None
    norm: _BatchNorm | None

    @property
    def offset_free(self) -> bool:
        """Tell whether the layer may be fitted about the means."""
        return self.bias is not None or self.into_batchnorm


def layer_calls(network: nn.Module, layers: Mapping[str, Layer], batch: Inputs) -> dict[str, LayerCall]:
    """Run the network on two images of a batch: return the layers that it calls, in the order of the calls.

    A layer whose weight alone is read (by a parent that multiplies by it itself) is not called; neither is
    one that is given nothing.
    """
    made: dict[int, tuple[str, Tensor, int]] = {}
    times, unclaimed = Counter[str](), Counter[str]()
    followers: dict[str, set[_BatchNorm]] = {}
    given_to = Counter[_BatchNorm]()

    def noting(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def note(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
            if not output.numel():
                return
            made[id(output)] = name, output, output._version
            times[name] += 1
            unclaimed[name] += 1

        return note

    def claim(norm: _BatchNorm, inputs: tuple[Any, ...], by_name: dict[str, Any]) -> None:
        given = layer_input(inputs, by_name)
        given_to[norm] += 1
        name, output, version = made.pop(id(given), ("", given, -1))
        if output is given and output._version == version:  # nobody has changed it in place meanwhile
            unclaimed[name] -= 1
            followers.setdefault(name, set()).add(norm)

    handles = [layer.register_forward_hook(noting(name)) for name, layer in layers.items()]
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    handles += [norm.register_forward_pre_hook(claim, with_kwargs=True) for norm in norms]
    try:
        with evaluating(network), as_defined(), naming_refusals(network, REFUSED):
            forward_on_copy(unwrapped(network), take_inputs(batch, slice(0, _IMAGES)))
    finally:
        for handle in handles:
            handle.remove()
    holders = Counter(id(parameter) for parameter in named_parameters(network).values())
    found = {}
    for name, number in times.items():
        norm = None if unclaimed[name] else _single(followers[name])
        found[name] = LayerCall(
            number,
            _own_bias(layers[name], holders),
            not unclaimed[name],
            None if norm is None else _scale(norm),
            norm if norm is not None and given_to[norm] == number else None,
        )
    return found


def _single(norms: Collection[_BatchNorm]) -> _BatchNorm | None:
    """Return the one BatchNorm, where it is one and has running statistics."""
    norm = next(iter(norms)) if len(norms) == 1 else None
    return None if norm is None or norm.running_var is None else norm


def _scale(norm: _BatchNorm) -> Tensor:
    """Return gamma / sqrt(variance + epsilon) of a BatchNorm, in float64 on the CPU."""
    assert norm.running_var is not None
    deviation = (norm.running_var.double() + norm.eps).sqrt()
    scale = 1 / deviation if norm.weight is None else norm.weight.detach().double() / deviation
    return scale.cpu()


def _own_bias(layer: Layer, holders: Counter[int]) -> Tensor | None:
    return layer.bias if layer.bias is not None and holders[id(layer.bias)] == 1 else None
