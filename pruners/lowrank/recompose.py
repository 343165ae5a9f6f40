"""A dense layer in the place of its two thinner ones."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from pruners.errors import BadArtifact
from pruners.lowrank.decompose import memory_layout, unwrap_layers
from pruners.lowrank.layers.decomposed_layer import DecomposedConv2d, DecomposedLinear
from pruners.lowrank.layers.shapes import LayerShape, shape_of
from pruners.network.copying import copied
from pruners.network.layer_names import named_modules, unwrapped


def recomposed_copy(small: nn.Module, shapes: Mapping[str, LayerShape]) -> nn.Module:
    """Copy a decomposed network with the factors of every layer in ``shapes`` multiplied out.

    The copy comes without the wrappers around it. BadArtifact where a layer is not decomposed, or was of
    another shape.
    """
    dense = copied(unwrapped(small))
    modules = dict(named_modules(dense))
    for name, shape in shapes.items():
        pair = modules.get(name)
        if not isinstance(pair, DecomposedConv2d | DecomposedLinear):
            raise BadArtifact(
                f"This network does not come from the artifact: its layer {name!r} is not decomposed."
            )
        if (found := shape_of(recompose(pair))) != shape:
            raise BadArtifact(
                f"This network does not come from the artifact: its layer {name!r} is {found}, not {shape}."
            )
    unwrap_layers(dense, {modules[name] for name in shapes})
    return dense


def recompose(pair: DecomposedConv2d | DecomposedLinear) -> nn.Conv2d | nn.Linear:
    """Make of a decomposed layer a plain one that computes the same, in place; returns it.

    This undoes `pruners.lowrank.decompose.decompose`: it stays the same object with its attributes and hooks;
    bias, device, dtype, requires_grad, memory format and the mode are the parts' own.
    """
    parts: list[Tensor] = [layer.weight for layer in pair.layers()]
    last = any(memory_layout(part) is torch.channels_last for part in parts)
    layout = torch.channels_last if last else torch.contiguous_format
    weight = pair.weight.detach().clone(memory_format=layout)
    bias = pair.bias
    pair._modules.clear()
    pair.__class__ = pair.stands_for  # type: ignore[assignment]
    pair.register_parameter("weight", nn.Parameter(weight, any(part.requires_grad for part in parts)))
    pair.register_parameter("bias", bias)  # type: ignore[arg-type]  # a parameter, told of as a tensor
    return cast(nn.Conv2d | nn.Linear, pair)
