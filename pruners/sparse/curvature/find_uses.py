"""Where a network uses its weights, whoever calls: all that the curvature in a weight needs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from pruners.errors import PrunerError
from pruners.network.inputs import Inputs, batch_size, forward
from pruners.sparse.curvature.gradients import differentiable
from pruners.sparse.curvature.use import Sliding, Use

_CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
_TRANSPOSED = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)
_LOOKUPS = (functional.embedding, functional.embedding_bag)
# torch hands a whole attention to a mode, which then sees nothing of what happens inside
_attention = FunctionType(
    functional.multi_head_attention_forward.__code__,
    functional.multi_head_attention_forward.__globals__ | {"has_torch_function": lambda _: False},
    argdefs=functional.multi_head_attention_forward.__defaults__,
)


def find_uses(
    network: nn.Module,
    weights: Mapping[str, nn.Parameter],
    inputs: Inputs,
    objective: Callable[[Tensor], Tensor],
) -> dict[str, list[Use]]:
    """Find every use of ``weights`` in a convolution or as a Linear's, in one pass over a batch and back.

    It does not matter which module calls: nn.MultiheadAttention reads the weight of its ``out_proj`` and
    never calls it. ``objective`` makes of the network's output the loss, a mean over samples; a weight
    that is not used gets an empty list. Uses of other kinds (in a sum, in a product that is written out)
    are not found, see `find_complete_uses`; what an embedding looks up in a weight that it shares with a
    Linear counts as constant.
    """
    return _watched(network, weights, inputs, objective)[0]


def find_complete_uses(
    network: nn.Module,
    weights: Mapping[str, nn.Parameter],
    inputs: Inputs,
    objective: Callable[[Tensor], Tensor],
) -> dict[str, list[Use]]:
    """Find the uses that `find_uses` finds, and make sure that there are no others.

    PrunerError, with the layer's name, where these do not make up a weight's gradient.
    """
    uses, gradients = _watched(network, weights, inputs, objective)
    for name, gradient in gradients.items():
        if gradient is not None and not _explains(uses[name], gradient):
            layer = name.removesuffix(".weight")
            raise PrunerError(
                f"Layer {layer!r}: the network uses its weight otherwise than in a convolution or as a "
                "Linear's, so its curvature is not known. Put it in exclude, or take a method that does "
                "without, such as snip or obd."
            )
    return uses


@dataclass(frozen=True)
class _Call:
    """A use whose gradient is still to come; ``arranged`` brings samples to the front."""

    name: str
    inputs: Tensor
    edge: GradientEdge
    sliding: Sliding | None
    first: int
    arranged: Callable[[Tensor], Tensor]


class _Watch(TorchFunctionMode):
    """Notes the calls of torch's convolutions and of `linear` that take ``weights``, or ``parts`` of them."""

    def __init__(self, weights: Mapping[str, nn.Parameter], parts: Mapping[str, int], samples: int) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self.parts = parts
        self._names = {id(weight): name for name, weight in weights.items()}
        self._samples, self._sequences = samples, 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one torch function, and note it where it uses one of the weights."""
        kwargs = kwargs or {}
        if func is functional.multi_head_attention_forward:
            query = args[0] if args else kwargs["query"]
            outside, self._sequences = self._sequences, query.shape[1] if query.dim() == 3 else 1
            try:
                with self:
                    return _attention(*args, **kwargs)
            finally:
                self._sequences = outside
        if func in _LOOKUPS and len(args) > 1 and id(args[1]) in self._names:
            args = [args[0], args[1].detach(), *args[2:]]
        output = func(*args, **kwargs)
        if func is functional.linear:
            self._note(output, None, *args, **kwargs)
        elif func in _CONVOLUTIONS:
            self._note(output, _sliding(*args, **kwargs), *args, **kwargs)
        elif func in _TRANSPOSED:
            self._note(output, _transposed(*args, **kwargs), *args, **kwargs)
        return output

    def _note(
        self, output: Tensor, sliding: Sliding | None, input: Tensor, weight: Tensor, *_: Any, **__: Any
    ) -> None:
        owner = weight if id(weight) in self._names else weight._base
        if owner is None or id(owner) not in self._names or not output.requires_grad:
            return
        name = self._names[id(owner)]
        first = _first_part(weight, owner, self.parts[name])
        if first is None:
            return
        if self._sequences:
            arranged = partial(_samples_first, self._samples, self._sequences)
        else:
            arranged = partial(_batched, 2 if sliding is None else weight.dim())
        # the edge, as the output itself may yet be changed in place
        self.calls.append(_Call(name, input.detach(), get_gradient_edge(output), sliding, first, arranged))


def _watched(
    network: nn.Module,
    weights: Mapping[str, nn.Parameter],
    inputs: Inputs,
    objective: Callable[[Tensor], Tensor],
) -> tuple[dict[str, list[Use]], dict[str, Tensor | None]]:
    """Find the uses, and the gradients in the weights of the loss summed over the samples.

    None where there is no gradient.
    """
    samples = batch_size(inputs)
    with _Watch(weights, _parts(network, weights), samples) as watch:
        outputs = forward(network, inputs)
    loss = differentiable(objective(outputs)) * samples
    found = torch.autograd.grad(
        loss, [*weights.values(), *(call.edge for call in watch.calls)], allow_unused=True
    )
    uses: dict[str, list[Use]] = {name: [] for name in weights}
    for call, gradient in zip(watch.calls, found[len(weights) :], strict=True):
        if gradient is not None:
            inside = call.arranged(call.inputs), call.arranged(gradient)
            uses[call.name].append(
                Use(weights[call.name], *inside, call.sliding, watch.parts[call.name], call.first)
            )
    return uses, dict(zip(weights, found, strict=False))


def _parts(network: nn.Module, weights: Mapping[str, nn.Parameter]) -> dict[str, int]:
    """Count the Linears' weights that each weight holds: three in an attention's packed projection."""
    packed = {
        id(module.in_proj_weight) for module in network.modules() if isinstance(module, nn.MultiheadAttention)
    }
    return {name: 3 if id(weight) in packed else 1 for name, weight in weights.items()}


def _explains(uses: Sequence[Use], gradient: Tensor) -> bool:
    """Tell whether the uses together give this gradient, up to rounding."""
    if not gradient.numel():
        return True
    # contiguous, as a gradient may not be
    found, size = gradient.new_zeros(gradient.shape), gradient.norm()
    for use in uses:
        whole = found.view(use.groups, len(found) // use.groups, -1)
        for start, stop in use.chunks():
            rows, columns = (factor.flatten(2) for factor in use.factors(start, stop))
            whole[use.used_groups] += rows @ columns.mT
            size = size + rows.norm() * columns.norm()
    return bool((found - gradient).norm() <= torch.finfo(gradient.dtype).eps ** 0.5 * size)


def _first_part(weight: Tensor, owner: Tensor, parts: int) -> int | None:
    """Return the part of ``owner`` with which a view of whole parts begins; None for other views."""
    if weight is owner:
        return 0
    height = len(owner) // parts
    whole = (
        weight.shape[1:] == owner.shape[1:]
        and weight.stride() == owner.stride()
        and len(weight) % height == 0
    )
    first, beside = divmod(
        int(weight.storage_offset()) - int(owner.storage_offset()), height * owner.stride(0)
    )
    return first if whole and parts > 1 and not beside else None


def _samples_first(samples: int, sequences: int, values: Tensor) -> Tensor:
    """Arrange an attention's features (positions, sequences, f) as (n, ..., f).

    The first two dimensions may be flattened. Several sequences may belong to a sample; where it cannot
    be, the values are returned as they are.
    """
    each, rest = divmod(sequences, samples)
    return (
        values.reshape(-1, samples, each, values.shape[-1]).transpose(0, 1) if each and not rest else values
    )


def _batched(dimensions: int, values: Tensor) -> Tensor:
    """Return what is of a single sample, without a dimension for it, as a batch of one."""
    return values if values.dim() >= dimensions else values[None]


def _sliding(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Sliding:
    kernel = weight.shape[2:]
    strides, dilations = _sides(stride, kernel), _sides(dilation, kernel)
    if padding == "same":
        whole = [step * (side - 1) for step, side in zip(dilations, kernel, strict=True)]
        around = [(all_of_it // 2, all_of_it - all_of_it // 2) for all_of_it in whole]
    else:
        around = [(side, side) for side in _sides(0 if isinstance(padding, str) else padding, kernel)]
    return Sliding(strides, tuple(side for pair in reversed(around) for side in pair), dilations, groups)


def _transposed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Sliding:
    return replace(_sliding(input, weight, bias, stride, padding, dilation, groups), transposed=True)


def _sides(side: int | Sequence[int], kernel: torch.Size) -> tuple[int, ...]:
    sides = (side,) if isinstance(side, int) else tuple(side)
    return sides * len(kernel) if len(sides) == 1 else sides
