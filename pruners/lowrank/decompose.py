"""The small modules that take a layer's place."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pruners.errors import BadArtifact, nearest
from pruners.layer_names import unwrapped
from pruners.lowrank.shapes import LayerShape, compressible_modules, shape_of


class BlockLinear(nn.Module):
    """A Linear on each of ``num_subspaces`` equal parts of the last dimension, as one batched matrix product, without bias.

    ``weight``: num_subspaces x rank x (features / num_subspaces). Maps (..., features) to (..., num_subspaces * rank).
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Any leading dimensions."""
        parts = inputs.unflatten(-1, (self.weight.shape[0], self.weight.shape[2]))
        return torch.einsum("...km,krm->...kr", parts, self.weight).flatten(-2)

    def extra_repr(self) -> str:
        """Shown by print(model)."""
        num_subspaces, rank, part = self.weight.shape
        return f"in_features={num_subspaces * part}, num_subspaces={num_subspaces}, rank={rank}"


def weights_from_factors(shape: LayerShape, linear: bool, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the two modules from the slices' factors: groups x k x rows x rank and groups x k x rank x columns / k."""
    groups, num_subspaces, _, rank = left.shape
    second = left.permute(0, 2, 1, 3).reshape(shape.out_channels, num_subspaces * rank)
    if linear:
        return (right[0, 0] if num_subspaces == 1 else right[0]).contiguous(), second.contiguous()
    channels = shape.in_channels // (groups * num_subspaces)
    first = right.reshape(groups * num_subspaces * rank, channels, *shape.kernel)
    return first.contiguous(), second.reshape(*second.shape, 1, 1).contiguous()


def decomposed(module: nn.Conv2d | nn.Linear, first: Tensor, second: Tensor, num_subspaces: int) -> nn.Sequential:
    """The layer as two: the slices' own filters, then the mixing of their outputs, which carries the bias.

    Stride, padding, dilation and groups, device, dtype, requires_grad and the mode are the layer's own.
    """
    inner = _inner_linear(first) if isinstance(module, nn.Linear) else _inner_convolution(module, first, num_subspaces)
    outer = _outer(module, second)
    _set_weight(inner, first, module)
    _set_weight(outer, second, module)
    outer.bias = module.bias  # type: ignore[assignment]  # Conv2d and Linear both may go without
    return nn.Sequential(inner, outer).train(module.training)


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
    replaced: dict[int, nn.Sequential] = {}
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
