"""Which dimensions of which tensors a layer's channels lie along."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

CONVOLUTION_SIDE = -1
"""In place of a dimension: the side of a grouped convolution that no dimension of its weight spans."""

PORT = -2
"""In place of a dimension: channels on their way through the network, outside of tensors."""


@dataclass(frozen=True)
class Axis:
    """A dimension of a parameter or buffer, of ``length`` entries.

    Tensors are told apart by identity, so that a shared one has the same axes wherever it is used.
    """

    tensor: int
    dim: int
    length: int


@dataclass(frozen=True)
class Side:
    """A layer's input or output: its number of channels and the axes they lie along.

    Channel i is entry i modulo its length of each axis: of a grouped convolution's weight one entry can be a
    channel of every group.
    """

    channels: int
    axes: tuple[Axis, ...]


def side_of(module: nn.Module, out: bool) -> Side | None:
    """Describe the output or input side of one of torch's layers; None where it must stay whole.

    Layers that normalise over their channels and recurrent layers lose none, and attention none that go in or
    out: what is left would not compute what zeros compute. A layer whose weight is computed (weight_norm)
    stays, too.
    """
    if isinstance(module, _ConvNd | nn.Linear) and "weight" not in module._parameters:
        return None
    if isinstance(module, _ConvNd):
        return _of_convolution(module, out)
    if isinstance(module, nn.Linear):
        axes = (*axes_of(module.weight, 0), *axes_of(module.bias, 0)) if out else axes_of(module.weight, 1)
        return Side(module.out_features if out else module.in_features, axes)
    if isinstance(module, _BatchNorm | _InstanceNorm):
        tensors = (module.weight, module.bias, module.running_mean, module.running_var)
        axes = tuple(axis for tensor in tensors for axis in axes_of(tensor, 0))
        # without tensors an InstanceNorm warns of another number of channels than its own
        return None if isinstance(module, _InstanceNorm) and not axes else Side(module.num_features, axes)
    if isinstance(module, nn.Embedding):
        return Side(module.embedding_dim, axes_of(module.weight, 1))
    return None


def couplings(convolution: _ConvNd) -> Iterator[tuple[tuple[Axis, Tensor], tuple[Axis, Tensor]]]:
    """List which entries of a grouped convolution go together: of two axes, entries pair by pair.

    Either whole groups go with their inputs and outputs, or every group loses the same of its channels on one
    side, whichever leaves more to choose from.
    """
    groups = convolution.groups
    wide, narrow = _sides(convolution)
    weight = Axis(id(convolution.weight), 0, wide)
    every_wide, every_narrow = torch.arange(wide, device="cpu"), torch.arange(narrow, device="cpu")
    if _loses_groups(convolution):
        other = Axis(id(convolution.weight), CONVOLUTION_SIDE, narrow)
        yield (weight, every_wide), (weight, every_wide // (wide // groups) * (wide // groups))
        yield (other, every_narrow), (weight, every_narrow // (narrow // groups) * (wide // groups))
    else:
        yield (weight, every_wide), (weight, every_wide % (wide // groups))


def axes_of(tensor: Tensor | None, dim: int) -> tuple[Axis, ...]:
    """Return a tensor's axis along ``dim``, none where there is no tensor."""
    return () if tensor is None else (Axis(id(tensor), dim, tensor.shape[dim]),)


def _of_convolution(module: _ConvNd, out: bool) -> Side:
    channels = module.out_channels if out else module.in_channels
    bias = axes_of(module.bias, 0) if out else ()
    if out != isinstance(module, _ConvTransposeNd):
        return Side(channels, (*axes_of(module.weight, 0), *bias))
    if module.groups > 1 and _loses_groups(module):
        return Side(channels, (Axis(id(module.weight), CONVOLUTION_SIDE, channels), *bias))
    return Side(channels, (*axes_of(module.weight, 1), *bias))


def _sides(module: _ConvNd) -> tuple[int, int]:
    """Return the channels along the weight's first dimension, and those of the other side."""
    transposed = isinstance(module, _ConvTransposeNd)
    return (
        (module.in_channels, module.out_channels) if transposed else (module.out_channels, module.in_channels)
    )


def _loses_groups(module: _ConvNd) -> bool:
    return module.groups >= min(_sides(module)) // module.groups
