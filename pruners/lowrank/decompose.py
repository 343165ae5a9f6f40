"""Puts two thinner layers in the place of a dense one."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pruners.errors import BadArtifact, nearest
from pruners.layer_names import unwrapped
from pruners.lowrank.decomposed_layer import BlockLinear, DecomposedConv2d, DecomposedLinear
from pruners.lowrank.shapes import LayerShape, compressible_modules, shape_of


def weights_from_factors(shape: LayerShape, linear: bool, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the two modules from the slices' factors: groups x k x rows x rank and groups x k x rank x columns / k."""
    groups, num_subspaces, _, rank = left.shape
    second = left.permute(0, 2, 1, 3).reshape(shape.out_channels, num_subspaces * rank)
    if linear:
        return (right[0, 0] if num_subspaces == 1 else right[0]).contiguous(), second.contiguous()
    channels = shape.in_channels // (groups * num_subspaces)
    first = right.reshape(groups * num_subspaces * rank, channels, *shape.kernel)
    return first.contiguous(), second.reshape(*second.shape, 1, 1).contiguous()


_HOOKS = (
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_backward_pre_hooks",
    "_backward_hooks",
    "_is_full_backward_hook",
)
"""Where torch keeps what is called before and after a module: it may change inputs and outputs, and goes on doing so."""


def decomposed(module: nn.Conv2d | nn.Linear, first: Tensor, second: Tensor, num_subspaces: int) -> DecomposedConv2d | DecomposedLinear:
    """Make of a layer two: the slices' own filters, then the mixing of their outputs, which carries the bias.

    Stride, padding, dilation and groups, device, dtype, requires_grad, hooks, other attributes and the mode are the layer's own.
    """
    inner = _inner_linear(first) if isinstance(module, nn.Linear) else _inner_convolution(module, first, num_subspaces)
    outer = _outer(module, second)
    _set_weight(inner, first, module)
    _set_weight(outer, second, module)
    outer.bias = module.bias  # type: ignore[assignment]  # Conv2d and Linear both may go without
    pair = DecomposedLinear(inner, outer) if isinstance(module, nn.Linear) else DecomposedConv2d(inner, outer)
    pair.__dict__ |= {name: vars(module)[name] for name in _HOOKS}
    # what else somebody has written on the layer, or reads of it (a Conv2d's output_padding)
    pair.__dict__ |= {name: value for name, value in vars(module).items() if name not in vars(pair) and not hasattr(type(pair), name)}
    return pair.train(module.training)


def _set_weight(part: nn.Module, weight: Tensor, dense: nn.Conv2d | nn.Linear) -> None:
    layout = _layout(dense.weight) if weight.dim() == 4 else torch.contiguous_format
    own = torch.empty(weight.shape, device=dense.weight.device, dtype=dense.weight.dtype, memory_format=layout)
    part.register_parameter("weight", nn.Parameter(own.copy_(weight.detach()), requires_grad=dense.weight.requires_grad))


def _layout(weight: Tensor) -> torch.memory_format:
    """The memory format of a layer's weight; of a 1 x 1 kernel only the strides tell."""
    if weight.dim() == 4:
        plain, last = (
            torch.empty(weight.shape, device="meta", memory_format=layout).stride()
            for layout in (torch.contiguous_format, torch.channels_last)
        )
        if weight.stride() == last != plain:
            return torch.channels_last
    return torch.contiguous_format


def _inner_linear(first: Tensor) -> nn.Module:
    if first.dim() == 3:
        return BlockLinear(first)
    return nn.Linear(first.shape[1], first.shape[0], bias=False, device="meta")


def _inner_convolution(module: nn.Conv2d, first: Tensor, num_subspaces: int) -> nn.Module:
    return nn.Conv2d(
        module.in_channels,
        len(first),
        (module.kernel_size[0], module.kernel_size[1]),
        stride=module.stride,  # type: ignore[arg-type]  # a pair, though declared of any length
        padding=module.padding,  # type: ignore[arg-type]
        dilation=module.dilation,  # type: ignore[arg-type]
        groups=module.groups * num_subspaces,
        bias=False,
        padding_mode=module.padding_mode,
        device="meta",
    )


def _outer(module: nn.Conv2d | nn.Linear, second: Tensor) -> nn.Module:
    if isinstance(module, nn.Linear):
        return nn.Linear(second.shape[1], second.shape[0], bias=False, device="meta")
    return nn.Conv2d(second.shape[1] * module.groups, module.out_channels, 1, groups=module.groups, bias=False, device="meta")


def replace_layers(model: nn.Module, weights: Mapping[str, tuple[Tensor, Tensor, int]], shapes: Mapping[str, LayerShape]) -> nn.Module:
    """Puts the decomposed layers in, wherever a layer is registered; returns the model, or what took its own place.

    ``weights`` maps a layer to its two weights and num_subspaces. BadArtifact where a layer is missing or of another shape.
    """
    modules = compressible_modules(model)
    replaced: dict[int, DecomposedConv2d | DecomposedLinear] = {}
    for name, (first, second, num_subspaces) in weights.items():
        if name not in modules:
            raise BadArtifact(f"The artifact does not fit: the network has no Conv2d or Linear {name!r}{nearest(name, modules)}")
        if shape_of(modules[name]) != shapes[name]:
            raise BadArtifact(f"The artifact does not fit: layer {name!r} is {shape_of(modules[name])}, not {shapes[name]}.")
        replaced[id(modules[name])] = decomposed(modules[name], first, second, num_subspaces)
    for parent in list(model.modules()):
        for child_name, child in parent._modules.items():
            # a wrapper around the layer itself goes too: what it compiled is the dense layer
            if child is not None and id(unwrapped(child)) in replaced:
                parent._modules[child_name] = replaced[id(unwrapped(child))]
    return replaced.get(id(model), model)
