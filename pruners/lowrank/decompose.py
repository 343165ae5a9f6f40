"""Thinner layers in the place of a dense one."""

from collections.abc import Mapping, Sequence, Set

import torch
from torch import Tensor, nn

from pruners.errors import BadArtifact, nearest
from pruners.lowrank.layers.cut import ENCODE, Cut
from pruners.lowrank.layers.decomposed_layer import (
    BlockLinear,
    DecomposedConv2d,
    DecomposedLinear,
    Reordering,
)
from pruners.lowrank.layers.folding import folded_shape, unfolded_rows
from pruners.lowrank.layers.shapes import LayerShape, compressible_modules, shape_of
from pruners.lowrank.layers.steps import SPANS, Step, steps_of
from pruners.network.copying import copied
from pruners.network.layer_names import unwrapped
from pruners.network.state import overwrite_state, restore_state

_REORDERING = "reordering"


def weight_names(layer: str, form: str = ENCODE) -> tuple[str, ...]:
    """Return the names of a decomposed layer's weights in the small network's state dict."""
    prefix = f"{layer}." if layer else ""
    return tuple(f"{prefix}{number}.weight" for number in range(len(SPANS[form])))


def pair_bias_name(layer: str) -> str:
    """Return the name of the bias of a layer decomposed into two, in the small network's state dict."""
    return f"{layer}.1.bias" if layer else "1.bias"


def order_name(layer: str) -> str:
    """Return the name of the order of a layer's input channels in the small network's state dict."""
    return f"{layer}.{_REORDERING}.order" if layer else f"{_REORDERING}.order"


def weights_from_factors(
    shape: LayerShape, linear: bool, left: Tensor, right: Tensor, form: str = ENCODE
) -> tuple[Tensor, Tensor]:
    """Return the weights of the two modules from the factors of the slices of a folding.

    These are groups x k x rows x rank and groups x k x rank x columns / k.
    """
    groups, num_subspaces, rows, rank = left.shape
    second = left.permute(0, 2, 1, 3).reshape(groups * rows, num_subspaces * rank)
    if linear:
        return (right[0, 0] if num_subspaces == 1 else right[0]).contiguous(), second.contiguous()
    channels = shape.in_channels // (groups * num_subspaces)
    first = right.reshape(groups * num_subspaces * rank, channels, *folded_shape(shape, form).kernel)
    return first.contiguous(), unfolded_rows(second, shape, form).contiguous()


def decompose(
    module: nn.Conv2d | nn.Linear, weights: Sequence[Tensor], cut: Cut, order: Tensor | None = None
) -> None:
    """Make of a layer two or more, in place, which take its input channels in ``order`` where there is one.

    The last carries the bias. Stride, padding, dilation and groups, device, dtype, requires_grad and the mode
    are the layer's own. It stays the same object, so whoever holds it (a parent, a list of layers, a hook)
    has the small one, and its attributes and hooks stay.
    """
    if isinstance(module, nn.Linear):
        parts = [_linear(weight) for weight in weights]
    else:
        parts = [_convolution(module, step) for step in steps_of(shape_of(module), cut)]
    linear = isinstance(module, nn.Linear)
    for part, weight in zip(parts, weights, strict=True):
        _set_weight(part, weight, module)
    parts[-1].bias = module.bias  # type: ignore[assignment]  # Conv2d and Linear both may go without
    device = module.weight.device
    module._parameters.clear()
    module.__class__ = DecomposedLinear if linear else DecomposedConv2d  # type: ignore[assignment]
    if order is not None:
        reordering = Reordering(order.to(device), -1 if linear else -3)
        module.add_module(_REORDERING, reordering.train(module.training))
    for number, part in enumerate(parts):
        module.add_module(str(number), part.train(module.training))


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


def _linear(weight: Tensor) -> nn.Module:
    if weight.dim() == 3:
        return BlockLinear(weight)
    return nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")


def _convolution(module: nn.Conv2d, step: Step) -> nn.Module:
    """Return one of a convolution's steps: on each side of the kernel that it spans, as the layer does."""

    def spanned(of_layer: Sequence[int], otherwise: int) -> tuple[int, int]:
        height, width = (
            side if spans else otherwise for side, spans in zip(of_layer, step.spans, strict=True)
        )
        return height, width

    padding = module.padding if isinstance(module.padding, str) else spanned(module.padding, 0)
    spans = any(step.spans)
    return nn.Conv2d(
        step.in_channels,
        step.out_channels,
        step.kernel,
        stride=spanned(module.stride, 1),
        padding=padding if spans else 0,
        dilation=spanned(module.dilation, 1),
        groups=step.groups,
        bias=False,
        padding_mode=module.padding_mode if spans else "zeros",
        device="meta",
    )


def replace_layers(
    model: nn.Module,
    weights: Mapping[str, Sequence[Tensor]],
    cuts: Mapping[str, Cut],
    shapes: Mapping[str, LayerShape],
    orders: Mapping[str, Tensor],
) -> nn.Module:
    """Decompose layers of ``model``, in place; returns it without the wrappers around it.

    ``weights`` maps a layer to its weights, ``cuts`` to what it becomes, ``orders`` to another order of its
    input channels, where it has one. BadArtifact where a layer is missing or of another shape, or an order is
    none of its channels.
    """
    modules = compressible_modules(model)
    for name, of_layer in weights.items():
        if name not in modules:
            raise BadArtifact(
                "The artifact does not fit: the network has no Conv2d or Linear "
                f"{name!r}{nearest(name, modules)}"
            )
        if shape_of(modules[name]) != shapes[name]:
            raise BadArtifact(
                f"The artifact does not fit: layer {name!r} is {shape_of(modules[name])}, not {shapes[name]}."
            )
        order, channels = orders.get(name), shapes[name].in_channels
        if order is not None and order.sort().values.tolist() != list(range(channels)):
            raise BadArtifact(
                f"The artifact is damaged: {order_name(name)!r} is no order of {channels} channels."
            )
        decompose(modules[name], of_layer, cuts[name], order)
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
    cuts: Mapping[str, Cut],
    shapes: Mapping[str, LayerShape],
    tensors: Mapping[str, Tensor],
    complete: bool = False,
) -> nn.Module:
    """Copy a network with its layers decomposed, without the wrappers around it.

    ``cuts`` tells what each layer to decompose becomes, ``tensors`` has their weights by their names in the
    small network, and perhaps other parameters and buffers of it, which are put in too: all of them where
    ``complete``. BadArtifact where they do not fit, or one is missing.
    """
    names = {layer: weight_names(layer, cut.form) for layer, cut in cuts.items()}
    for missing in (n for of_layer in names.values() for n in of_layer if n not in tensors):
        raise BadArtifact(f"The artifact is damaged: it has no tensor {missing!r}.")
    weights = {layer: [tensors[n] for n in of_layer] for layer, of_layer in names.items()}
    orders = {layer: tensors[n] for layer in cuts if (n := order_name(layer)) in tensors}
    small = replace_layers(copied(unwrapped(model)), weights, cuts, shapes, orders)
    if complete:
        restore_state(small, tensors)
    else:
        placed = {name for of_layer in names.values() for name in of_layer}
        overwrite_state(small, {name: tensor for name, tensor in tensors.items() if name not in placed})
    return small
