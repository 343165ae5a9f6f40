"""Which layers a network calls, in which order, and which of them may have outputs off by a constant."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

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
    into BatchNorm and nowhere else, and nothing else does: it subtracts their mean again. ``norms`` are then
    those BatchNorms that have running statistics. ``scale`` is what each output channel is multiplied by
    where all go into one and the same BatchNorm with such, whatever else does; else None.
    """

    times: int
    bias: Tensor | None
    into_batchnorm: bool
    scale: Tensor | None
    norms: Sequence[_BatchNorm]

    @property
    def offset_free(self) -> bool:
        """Tell whether the layer may be fitted about the means."""
        return self.bias is not None or self.into_batchnorm


def layer_calls(network: nn.Module, layers: Mapping[str, Layer], batch: Inputs) -> dict[str, LayerCall]:
    """Run the network on two images of a batch: return the layers that it calls, in the order of the calls.

    A layer whose weight alone is read (by a parent that multiplies by it itself) is not called; neither is
    one that is given nothing.
    """
    outputs = _Outputs()
    with ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_hook(partial(outputs.note, name)).remove)
        for norm in (module for module in network.modules() if isinstance(module, _BatchNorm)):
            hooks.callback(norm.register_forward_pre_hook(outputs.enter, with_kwargs=True).remove)
            hooks.callback(norm.register_forward_hook(outputs.leave, always_call=True).remove)
        with evaluating(network), as_defined(), naming_refusals(network, REFUSED), outputs:
            forward_on_copy(unwrapped(network), take_inputs(batch, slice(0, _IMAGES)))
    holders = Counter(id(parameter) for parameter in named_parameters(network).values())
    found = {}
    for name, times in outputs.times().items():
        norms = outputs.norms_behind(name)
        alone = [norm for norm in norms if outputs.is_given_nothing_else(norm, name)]
        found[name] = LayerCall(
            times,
            _own_bias(layers[name], holders),
            0 < len(alone) == len(norms),
            _scale(norms),
            [norm for norm in alone if norm.running_var is not None] if len(alone) == len(norms) else [],
        )
    return found


def _scale(norms: Sequence[_BatchNorm]) -> Tensor | None:
    """Return gamma / sqrt(variance + epsilon) of the one BatchNorm, in float64 on the CPU."""
    if len(norms) != 1 or norms[0].running_var is None:
        return None
    deviation = (norms[0].running_var.double() + norms[0].eps).sqrt()
    scale = 1 / deviation if norms[0].weight is None else norms[0].weight.detach().double() / deviation
    return scale.cpu()


def _own_bias(layer: Layer, holders: Counter[int]) -> Tensor | None:
    return layer.bias if layer.bias is not None and holders[id(layer.bias)] == 1 else None


@dataclass
class _Output:
    """The output of one call of a layer, and what is given it."""

    layer: str
    tensor: Tensor
    has_channels_second: bool
    norms: list[_BatchNorm] = field(default_factory=list)
    is_used_elsewhere: bool = False


class _Outputs(TorchFunctionMode):
    """What becomes of layers' outputs in a pass: which BatchNorms, and other operations, are given them.

    All are held until the end, so that nothing else takes their place in memory. Operations that tell a
    shape or a number are none. (TorchDispatchMode would see those of scripts too, and imports the compiler.)
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[int, _Output] = {}
        self._given = Counter[_BatchNorm]()
        self._norms_running = 0

    def note(self, name: str, layer: Layer, _inputs: Any, output: Tensor) -> None:
        """Note a layer's output: its forward hook."""
        if output.numel():
            dimensions = 2 if isinstance(layer, nn.Linear) else len(layer.kernel_size) + 2
            self._made[id(output)] = _Output(name, output, output.dim() == dimensions)

    def enter(self, norm: _BatchNorm, inputs: tuple[Any, ...], by_name: dict[str, Any]) -> None:
        """Note what a BatchNorm is given: its forward pre-hook."""
        self._norms_running += 1
        self._given[norm] += 1
        output = self._made.get(id(layer_input(inputs, by_name)))
        if output is not None and output.has_channels_second:
            output.norms.append(norm)
        elif output is not None:  # normalised along another dimension than the layer's own
            output.is_used_elsewhere = True

    def leave(self, *_: Any) -> None:
        """Note that a BatchNorm has done: its forward hook."""
        self._norms_running -= 1

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self._norms_running and (_holds_tensor(result) or func is Tensor.__setitem__):
            for used in tree_leaves((args, kwargs)):
                if id(used) in self._made:
                    self._made[id(used)].is_used_elsewhere = True
        return result

    def times(self) -> Counter[str]:
        """Count the calls of each layer, in the order of the first ones."""
        return Counter(output.layer for output in self._made.values())

    def norms_behind(self, layer: str) -> list[_BatchNorm]:
        """Return the BatchNorms that a layer's outputs go into; none where anything else uses one of them."""
        outputs = [output for output in self._made.values() if output.layer == layer]
        if any(output.is_used_elsewhere or not output.norms for output in outputs):
            return []
        return list(dict.fromkeys(norm for output in outputs for norm in output.norms))

    def is_given_nothing_else(self, norm: _BatchNorm, layer: str) -> bool:
        """Tell whether a BatchNorm is given outputs of one layer only."""
        own = [output.norms.count(norm) for output in self._made.values() if output.layer == layer]
        return sum(own) == self._given[norm]


def _holds_tensor(result: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in tree_leaves(result))
