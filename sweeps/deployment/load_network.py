"""Loads the network in this folder with torch and safetensors alone.

from load_network import load
network = load(your_factory())
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn


class BlockLinear(nn.Module):
    """A Linear on each of several equal parts of the features, all as one product of matrices."""

    def __init__(self, num_subspaces: int, rank: int, part: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_subspaces, rank, part))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., features) to (..., num_subspaces * rank)."""
        parts = inputs.unflatten(-1, (self.weight.shape[0], self.weight.shape[2]))
        return torch.einsum("...km,krm->...kr", parts, self.weight).flatten(-2)


class Reordering(nn.Module):
    """Channels or features taken in another order."""

    def __init__(self, channels: int, dimension: int) -> None:
        super().__init__()
        self.dimension = dimension
        self.register_buffer("order", torch.arange(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Take the inputs in order."""
        order: Tensor = self.get_buffer("order")
        return inputs.index_select(self.dimension, order)


KINDS = {"Conv2d": nn.Conv2d, "Linear": nn.Linear, "BlockLinear": BlockLinear, "Reordering": Reordering}


def load(network: nn.Module, folder: str | Path = Path(__file__).parent) -> nn.Module:
    """Give a network as its own factory makes it the layers and weights of a folder, in place.

    Raises ValueError for a network that has weights besides.
    """
    told = json.loads((Path(folder) / "network.json").read_text())
    for name, parts in told["replaced"].items():
        layer = network.get_submodule(name)
        layer._parameters.clear()
        layer.__class__ = nn.Sequential
        for part, (kind, options) in parts.items():
            layer.add_module(part, KINDS[kind](**options))
    for name, number in told["numbers"].items():
        module, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(module), attribute, number)
    held: dict[str, Tensor] = {}
    for name, tensor in load_file(Path(folder) / told["weights"]).items():
        module, _, attribute = name.rpartition(".")
        parameter = attribute in network.get_submodule(module)._parameters
        held[name] = nn.Parameter(tensor) if parameter else tensor
    held |= {name: held[first] for name, first in told["same"].items()}
    if missing := [name for name in network.state_dict() if name not in held]:
        raise ValueError(f"{folder} holds another network: it has no {missing[0]!r}.")
    for name, tensor in held.items():
        module, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(module), attribute, tensor)
    return network.eval()
