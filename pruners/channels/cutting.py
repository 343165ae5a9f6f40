"""A network cut down to the channels that are kept, and grown back to the dense shape."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from pruners.errors import BadArtifact
from pruners.network.layer_names import named_buffers, named_modules, named_parameters

Kept = Mapping[str, Mapping[int, Tensor]]
"""Which entries stay: by tensor and dimension, ascending int64 on the CPU. What is not named stays whole."""


def cut(model: nn.Module, kept: Kept, groups: Mapping[str, tuple[int, int]]) -> nn.Module:
    """Remove from ``model``, in place, all entries but those that are kept; returns it.

    ``groups`` maps convolutions that lose groups to their dense number of groups and what is left of it.
    """
    return _changed(model, kept, {name: left for name, (_, left) in groups.items()}, _chosen)


def grown(
    model: nn.Module, kept: Kept, shapes: Mapping[str, tuple[int, ...]], groups: Mapping[str, tuple[int, int]]
) -> nn.Module:
    """Put zeros, in place, where `cut` removed entries; returns the model. ``shapes`` are the dense ones."""

    def spread(name: str, tensor: Tensor, of_tensor: Mapping[int, Tensor]) -> Tensor:
        for dim, index in of_tensor.items():
            shape = (*tensor.shape[:dim], shapes[name][dim], *tensor.shape[dim + 1 :])
            tensor = tensor.new_zeros(shape).index_copy_(dim, index.to(tensor.device), tensor)
        return tensor

    return _changed(model, kept, {name: dense for name, (dense, _) in groups.items()}, spread)


def zeroed(model: nn.Module, kept: Kept) -> nn.Module:
    """Set to zero, in place, what `cut` would remove; returns the model."""
    tensors = named_parameters(model) | named_buffers(model)
    with torch.no_grad():
        for name, of_tensor in kept.items():
            for dim, index in of_tensor.items():
                removed = torch.ones(tensors[name].shape[dim], dtype=torch.bool, device="cpu")
                removed[index] = False
                tensors[name].index_fill_(dim, removed.nonzero()[:, 0].to(tensors[name].device), 0)
    return model


def shape_left(shape: tuple[int, ...], of_tensor: Mapping[int, Tensor]) -> tuple[int, ...]:
    """Return the shape of what is kept of a tensor."""
    return tuple(len(of_tensor[dim]) if dim in of_tensor else size for dim, size in enumerate(shape))


def _chosen(name: str, tensor: Tensor, of_tensor: Mapping[int, Tensor]) -> Tensor:
    for dim, index in of_tensor.items():
        tensor = tensor.index_select(dim, index.to(tensor.device))
    return tensor


def _changed(
    model: nn.Module,
    kept: Kept,
    groups: Mapping[str, int],
    change: Callable[[str, Tensor, Mapping[int, Tensor]], Tensor],
) -> nn.Module:
    tensors = named_parameters(model) | named_buffers(model)
    if missing := [name for name in kept if name not in tensors]:
        raise BadArtifact(f"The artifact does not fit: the network has no {missing[0]!r}.")
    new: dict[int, Tensor] = {}
    for name, of_tensor in kept.items():
        old = tensors[name]
        laid_out = change(name, old.detach(), of_tensor)
        if old.dim() == 4 and old.is_contiguous(memory_format=torch.channels_last):
            laid_out = laid_out.contiguous(memory_format=torch.channels_last)
        parameter = isinstance(old, nn.Parameter)
        new[id(old)] = nn.Parameter(laid_out, requires_grad=old.requires_grad) if parameter else laid_out
    for _, module in named_modules(model):
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None and id(tensor) in new:
                setattr(module, name, new[id(tensor)])
    for name, module in named_modules(model):
        _tell_sizes(module, groups.get(name))
    return model


def _tell_sizes(module: nn.Module, groups: int | None) -> None:
    """Set the attributes that tell a layer's sizes to those of its tensors."""
    if isinstance(module, _ConvNd) and "weight" in module._parameters:
        module.groups = module.groups if groups is None else groups
        wide, narrow = module.weight.shape[0], module.weight.shape[1] * module.groups
        transposed = isinstance(module, _ConvTransposeNd)
        module.in_channels, module.out_channels = (wide, narrow) if transposed else (narrow, wide)
    elif isinstance(module, nn.Linear) and "weight" in module._parameters:
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _BatchNorm | _InstanceNorm):
        tensor = module.weight if module.weight is not None else module.running_mean
        module.num_features = module.num_features if tensor is None else len(tensor)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
    elif isinstance(module, nn.Embedding):
        module.embedding_dim = module.weight.shape[1]


def groups_left(model: nn.Module, kept: Kept) -> dict[str, tuple[int, int]]:
    """Tell which convolutions lose groups under ``kept``: their number of groups, and what is left of it."""
    names = {id(tensor): name for name, tensor in reversed(named_parameters(model).items())}
    left = {}
    for name, module in named_modules(model):
        if isinstance(module, _ConvNd) and module.groups > 1 and "weight" in module._parameters:
            index = kept.get(names[id(module.weight)], {}).get(0)
            if index is not None:
                remaining = len((index // (len(module.weight) // module.groups)).unique())
                if remaining < module.groups:
                    left[name] = (module.groups, remaining)
    return left
