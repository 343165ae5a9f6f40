"""All parameters and buffers of a network, buffers that a state dict leaves out included."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pruners.errors import BadArtifact, nearest
from pruners.network.layer_names import named_buffers, named_parameters


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Copy all parameters and buffers to the CPU, each once, under every name it has."""
    tensors = _named_tensors(model)
    copies = {id(tensor): tensor.detach().to("cpu", copy=True).contiguous() for tensor in tensors.values()}
    return {name: copies[id(tensor)] for name, tensor in tensors.items()}


def restore_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put the tensors into the network, in their own dtype, on the devices of those they replace.

    Raises BadArtifact unless names and shapes agree.
    """
    own = _named_tensors(model)
    if own.keys() != state.keys():
        odd = min(own.keys() ^ state.keys())
        raise BadArtifact(
            f"The artifact does not fit: {odd!r} is only in "
            f"{'the network' if odd in own else 'the artifact'}."
        )
    _put(own, state)


def overwrite_state(model: nn.Module, some: Mapping[str, Tensor]) -> None:
    """Put some parameters and buffers into the network, as `restore_state` does all.

    Raises BadArtifact for one that the network does not have in this shape.
    """
    own = _named_tensors(model)
    if odd := sorted(some.keys() - own.keys()):
        raise BadArtifact(f"The artifact does not fit: the network has no {odd[0]!r}{nearest(odd[0], own)}")
    _put(own, some)


def _put(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    for name, tensor in state.items():
        if own[name].shape != tensor.shape:
            shapes = f"{tuple(own[name].shape)} in the network, {tuple(tensor.shape)} in the artifact"
            raise BadArtifact(f"The artifact does not fit: {name!r} is {shapes}.")
        # laid out as the network's own tensor: one in channels_last stays in it
        own[name].data = torch.empty_like(own[name], dtype=tensor.dtype).copy_(tensor)


def _named_tensors(model: nn.Module) -> dict[str, Tensor]:
    return named_parameters(model) | named_buffers(model)
