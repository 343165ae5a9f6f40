"""A network cut down to the channels that are kept, and grown back to the dense shape."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from pruners.channels.head_attention import is_torchs, tell_heads
from pruners.errors import BadArtifact
from pruners.network.copying import copied
from pruners.network.layer_names import named_buffers, named_modules, named_parameters

Kept = Mapping[str, Mapping[int, Tensor]]
"""Which entries stay: by tensor and dimension, ascending int64 on the CPU. What is not named stays whole."""

Numbers = Mapping[str, tuple[int, int]]
"""Attributes that tell how much a module has ("layer.groups", "attention.num_heads"): the dense number, and
what is left of it.
"""


def cut(model: nn.Module, kept: Kept, numbers: Numbers, share: bool = False) -> nn.Module:
    """Copy a network without the entries that are not kept.

    Tensors that stay as they are belong to both networks where ``share``.
    """
    return _changed(model, kept, numbers, _chosen, share)


def grown(model: nn.Module, kept: Kept, shapes: Mapping[str, tuple[int, ...]], numbers: Numbers) -> nn.Module:
    """Copy a network that `cut` gave, with zeros where it removed entries; ``shapes`` are the dense."""

    def spread(name: str, tensor: Tensor, of_tensor: Mapping[int, Tensor]) -> Tensor:
        for dim, index in of_tensor.items():
            shape = (*tensor.shape[:dim], shapes[name][dim], *tensor.shape[dim + 1 :])
            tensor = tensor.new_zeros(shape).index_copy_(dim, index.to(tensor.device), tensor)
        return tensor

    return _changed(model, kept, {name: (left, dense) for name, (dense, left) in numbers.items()}, spread)


def zeroed(model: nn.Module, kept: Kept, share: bool = False) -> nn.Module:
    """Copy a network with zeros in place of what `cut` would remove; ``share`` as there."""

    def without(name: str, tensor: Tensor, of_tensor: Mapping[int, Tensor]) -> Tensor:
        tensor = tensor.clone()
        for dim, index in of_tensor.items():
            removed = torch.ones(tensor.shape[dim], dtype=torch.bool, device="cpu")
            removed[index] = False
            tensor.index_fill_(dim, removed.nonzero()[:, 0].to(tensor.device), 0)
        return tensor

    return _changed(model, kept, {}, without, share)


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
    numbers: Numbers,
    change: Callable[[str, Tensor, Mapping[int, Tensor]], Tensor],
    share: bool = False,
) -> nn.Module:
    tensors = named_parameters(model) | named_buffers(model)
    if missing := [name for name in kept if name not in tensors]:
        raise BadArtifact(f"The artifact does not fit: the network has no {missing[0]!r}.")
    instead = {id(tensor): tensor for tensor in tensors.values()} if share else {}
    for name, of_tensor in kept.items():
        old = tensors[name]
        new = change(name, old.detach(), of_tensor)
        if old.dim() == 4 and old.is_contiguous(memory_format=torch.channels_last):
            new = new.contiguous(memory_format=torch.channels_last)
        parameter = isinstance(old, nn.Parameter)
        instead[id(old)] = nn.Parameter(new, requires_grad=old.requires_grad) if parameter else new
    copy = copied(model, instead)
    modules = dict(named_modules(copy))
    for name, (before, after) in numbers.items():
        module, _, attribute = name.rpartition(".")
        if getattr(modules.get(module), attribute, None) != before:
            raise BadArtifact(f"The artifact does not fit: the network has no {name!r} of {before}.")
        setattr(modules[module], attribute, after)
    for one in modules.values():
        _tell_sizes(one)
    return copy


def _tell_sizes(module: nn.Module) -> None:
    """Set the attributes that tell a layer's sizes to those of its tensors."""
    if isinstance(module, _ConvNd) and "weight" in module._parameters:
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
    elif isinstance(module, nn.MultiheadAttention) and is_torchs(module):
        tell_heads(module)


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
                    left[f"{name}.groups" if name else "groups"] = (module.groups, remaining)
    return left
