"""What the output positions of a layer see of its input."""

from collections.abc import Sequence
from math import prod
from typing import TypeGuard, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.grad import conv1d_weight, conv2d_weight, conv3d_weight

from pruners.network.readiness import has_own_forward

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
"""A layer whose outputs are its folded weight times columns of its input."""


def has_columns(module: nn.Module | None) -> TypeGuard[Layer]:
    """Tell whether a module multiplies columns of its input by its weight as torch's own layers do."""
    return isinstance(module, Layer) and not any(
        isinstance(module, kind) and has_own_forward(module, kind) for kind in get_args(Layer)
    )


def layer_columns(layer: Layer, inputs: Tensor) -> Tensor:
    """Cut a layer's inputs into columns: (groups, n, positions of all samples).

    ``n`` is in_channels / groups * kernel, in the order of the folded weight (im2col), or a Linear's
    in_features. Inputs are (N, channels, ...) or (channels, ...) of a convolution, (..., features) of a
    Linear.
    """
    if isinstance(layer, nn.Linear):
        return inputs.reshape(1, -1, inputs.shape[-1]).mT
    dimensions = len(layer.kernel_size)
    maps = padded(layer, inputs if inputs.dim() == dimensions + 2 else inputs[None])
    samples, channels, *sides = maps.shape
    positions = [
        (side - dilation * (kernel - 1) - 1) // stride + 1
        for side, dilation, kernel, stride in zip(
            sides, layer.dilation, layer.kernel_size, layer.stride, strict=True
        )
    ]
    of_sample, of_channel, *along = maps.stride()
    in_kernel = [step * dilation for step, dilation in zip(along, layer.dilation, strict=True)]
    between = [step * stride for step, stride in zip(along, layer.stride, strict=True)]
    seen = maps.as_strided(
        (channels, *layer.kernel_size, samples, *positions),
        (of_channel, *in_kernel, of_sample, *between),
        int(maps.storage_offset()),
    )
    return seen.reshape(layer.groups, -1, samples * prod(positions))


def products_with_columns(layer: Layer, inputs: Tensor, values: Tensor) -> Tensor:
    """Sum up products of values at a layer's output positions (N, rows, ...) with its columns there.

    The answer is (groups, rows of a group, n). It is the gradient of sum(values * layer(inputs)) at the
    weight, and computed as such: no columns are written out.
    """
    if isinstance(layer, nn.Linear):
        return (values.mT @ inputs)[None]
    derivative = (conv1d_weight, conv2d_weight, conv3d_weight)[len(layer.kernel_size) - 1]
    size = layer.weight.shape
    found = derivative(padded(layer, inputs), size, values, layer.stride, 0, layer.dilation, layer.groups)
    return found.reshape(layer.groups, len(found) // layer.groups, -1)


def padded(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, maps: Tensor) -> Tensor:
    """Return maps (N, channels, ...) with the layer's padding around them."""
    around = padding_around(layer)
    if not any(around):
        return maps
    if layer.padding_mode == "zeros":
        return pad(maps, around)
    return pad(maps, around, mode=layer.padding_mode)


def padding_around(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> Sequence[int]:
    """Return the padding before and after each dimension, the last one first."""
    if layer.padding == "same":
        whole = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        pairs = [(width // 2, width - width // 2) for width in whole]
    else:
        sides = (0,) * len(layer.kernel_size) if isinstance(layer.padding, str) else layer.padding
        pairs = [(side, side) for side in sides]
    return [side for pair in reversed(pairs) for side in pair]


def computable(values: Tensor) -> Tensor:
    """Return values in float32 where they are of a shorter dtype, whose products lose too much."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
