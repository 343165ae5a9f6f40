"""A user's code with names that nobody should trust."""

import torch
from torch import nn

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def evil_network(label: str = "") -> nn.Module:
    """A network whose layers are called by tags; one that is called so itself cannot be trained."""
    network = nn.Sequential()
    network.add_module("<flatten>", nn.Flatten())
    network.add_module(EVIL, nn.Linear(64, 32))
    network.add_module("<second>", nn.Linear(32, 10))
    if label != "fine":
        network.register_forward_pre_hook(_fail_in_training)
    return network


def _fail_in_training(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    if module.training and len(inputs[0]) > 100:
        raise RuntimeError(f"a reason: {EVIL}")
