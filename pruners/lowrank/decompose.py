"""Two thinner layers in the place of a dense one."""

from collections.abc import Mapping, Set

import torch
from torch import Tensor, nn

from pruners.errors import BadArtifact, nearest
from pruners.lowrank.layers.decomposed_layer import BlockLinear, DecomposedConv2d, DecomposedLinear
from pruners.lowrank.layers.shapes import LayerShape, compressible_modules, shape_of
from pruners.network.copying import copied
from pruners.network.layer_names import unwrapped
from pruners.network.state import overwrite_state, restore_state


def pair_names(layer: str) -> tuple[str, str]:
    """Return the names of a decomposed layer's two weights in the small network's state dict."""
    prefix = f"{layer}." if layer else ""
    return f"{prefix}0.weight", f"{prefix}1.weight"


def pair_bias_name(layer: str) -> str:
    """Return the name of a decomposed layer's bias in the small network's state dict."""
    return f"{layer}.1.bias" if layer else "1.bias"


def weights_from_factors(
    shape: LayerShape, linear: bool, left: Tensor, right: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the weights of the two modules from the slices' factors.

    These are groups x k x rows x rank and groups x k x rank x columns / k.
    """
    groups, num_subspaces, _, rank = left.shape
    second = left.permute(0, 2, 1, 3).reshape(shape.out_channels, num_subspaces * rank)
    if linear:
        return (right[0, 0] if num_subspaces == 1 else right[0]).contiguous(), second.contiguous()
    channels = shape.in_channels // (groups * num_subspaces)
    first = right.reshape(groups * num_subspaces * rank, channels, *shape.kernel)
    return first.contiguous(), second.reshape(*second.shape, 1, 1).contiguous()


def decompose(module: nn.Conv2d | nn.Linear, first: Tensor, second: Tensor, num_subspaces: int) -> None:
    """Make of a layer two, in place.

    The first has the slices' own filters, the second mixes their outputs and carries the bias. Stride,
    padding, dilation and groups, device, dtype, requires_grad and the mode are the layer's own. It stays the
    same object, so whoever holds it (a parent, a list of layers, a hook) has the small one, and its
    attributes and hooks stay.
    """
    linear = isinstance(module, nn.Linear)
    inner = (
        _inner_linear(first)
        if isinstance(module, nn.Linear)
        else _inner_convolution(module, first, num_subspaces)
    )
    outer = _outer(module, second)
    _set_weight(inner, first, module)
    _set_weight(outer, second, module)
    outer.bias = module.bias  # type: ignore[assignment]  # Conv2d and Linear both may go without
    module._parameters.clear()
    module.__class__ = DecomposedLinear if linear else DecomposedConv2d  # type: ignore[assignment]
    module.add_module("0", inner.train(module.training))
    module.add_module("1", outer.train(module.training))


def _set_weight(part: nn.Module, weight: Tensor, dense: nn.Conv2d | nn.Linear) -> None:
    layout = memory_layout(dense.weight) if weight.dim() == 4 else torch.contiguous_format
    own = torch.empty(
        weight.shape, device=dense.weight.device, dtype=dense.weight.dtype, memory_format=layout
    )
    part.register_parameter(
        "weight", nn.Parameter(own.copy_(weight.detach()), requires_grad=dense.weight.requires_grad)
    )


def memory_layout(weight: Tensor) -> torch.memory_format:
    """Return the memory format of a layer's weight; of a 1 x 1 kernel only the strides tell."""
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
    return nn.Conv2d(
        second.shape[1] * module.groups,
        module.out_channels,
        1,
        groups=module.groups,
        bias=False,
        device="meta",
    )


def replace_layers(
    model: nn.Module, weights: Mapping[str, tuple[Tensor, Tensor, int]], shapes: Mapping[str, LayerShape]
) -> nn.Module:
    """Decompose layers of ``model``, in place; returns it without the wrappers around it.

    ``weights`` maps a layer to its two weights and num_subspaces. BadArtifact where a layer is missing or of
    another shape.
    """
    modules = compressible_modules(model)
    for name, (first, second, num_subspaces) in weights.items():
        if name not in modules:
            raise BadArtifact(
                "The artifact does not fit: the network has no Conv2d or Linear "
                f"{name!r}{nearest(name, modules)}"
            )
        if shape_of(modules[name]) != shapes[name]:
            raise BadArtifact(
                f"The artifact does not fit: layer {name!r} is {shape_of(modules[name])}, not {shapes[name]}."
            )
        decompose(modules[name], first, second, num_subspaces)
    unwrap_layers(model, {modules[name] for name in weights})
    return model


def unwrap_layers(model: nn.Module, layers: Set[nn.Module]) -> None:
    """Take away the wrappers around each of ``layers``, in place: what they compiled is another layer."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None and unwrapped(child) in layers:
                parent._modules[name] = unwrapped(child)


def decomposed_copy(
    model: nn.Module,
    subspaces: Mapping[str, int],
    shapes: Mapping[str, LayerShape],
    tensors: Mapping[str, Tensor],
    complete: bool = False,
) -> nn.Module:
    """Copy a network with its layers decomposed, without the wrappers around it.

    ``subspaces`` is the num_subspaces of each layer to decompose, ``tensors`` has their weights by their
    names in the small network, and perhaps other parameters and buffers of it, which are put in too: all of
    them where ``complete``. BadArtifact where they do not fit, or one is missing.
    """
    pairs = {name: pair_names(name) for name in subspaces}
    for missing in (n for pair in pairs.values() for n in pair if n not in tensors):
        raise BadArtifact(f"The artifact is damaged: it has no tensor {missing!r}.")
    weights = {n: (tensors[first], tensors[second], subspaces[n]) for n, (first, second) in pairs.items()}
    small = replace_layers(copied(unwrapped(model)), weights, shapes)
    if complete:
        restore_state(small, tensors)
    else:
        placed = {name for pair in pairs.values() for name in pair}
        overwrite_state(small, {name: tensor for name, tensor in tensors.items() if name not in placed})
    return small
