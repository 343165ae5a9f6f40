"""How often each layer's weight is used in one forward pass."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from pruners.inputs import Inputs, forward


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The network in eval mode without gradients; every module's own mode returns afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def output_positions(model: nn.Module, layers: Mapping[str, nn.Module], example: Inputs) -> dict[str, int]:
    """Output positions of each layer for the given batch: a layer's multiply-adds are its weights times these.

    A transposed convolution uses its weights once for each input position instead. A layer that runs several times counts
    each time, one that does not run counts 0. The network is not changed.
    """
    positions = dict.fromkeys(layers, 0)

    def counter(name: str, module: nn.Module) -> Any:
        def count(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            weight = module.weight
            assert isinstance(weight, Tensor)
            side = inputs[0] if isinstance(module, _ConvTransposeNd) else output
            positions[name] += side.numel() // max(1, len(weight))

        return module.register_forward_hook(count)

    handles = [counter(name, module) for name, module in layers.items()]
    try:
        with evaluating(model):
            forward(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return positions
