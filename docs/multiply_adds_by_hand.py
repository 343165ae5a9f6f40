"""Multiply-adds as a person counts them: layer by layer, from the sizes of what goes in and comes out."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torchvision.models.maxvit import RelativePositionalMultiHeadAttention
from torchvision.models.swin_transformer import ShiftedWindowAttention


def by_hand(network: nn.Module, inputs: Any) -> int:
    """Count the multiply-adds of a network in eval mode.

    It is made of convolutions, Linears and the attention layers of torch and torchvision.
    """
    counted = 0

    def hook(count: Callable[[Any, tuple[Any, ...], Any], int]) -> Any:
        def add(layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            nonlocal counted
            counted += count(layer, given, output)

        return add

    handles = [
        m.register_forward_hook(hook(c))
        for m in network.modules()
        for kind, c in _KINDS
        if isinstance(m, kind)
    ]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it calls no layers
    try:
        with torch.no_grad():
            network.eval()(*inputs) if isinstance(inputs, tuple) else network.eval()(inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for handle in handles:
            handle.remove()
    return counted


def _convolution(layer: _ConvNd, given: tuple[Tensor, ...], output: Tensor) -> int:
    examples, _, *positions = (given[0] if isinstance(layer, _ConvTransposeNd) else output).shape
    return (
        examples
        * prod(positions)
        * layer.in_channels
        * layer.out_channels
        // layer.groups
        * prod(layer.kernel_size)
    )


def _linear(layer: nn.Linear, given: tuple[Tensor, ...], output: Tensor) -> int:
    return output.numel() * layer.in_features


def _attention(layer: nn.MultiheadAttention, given: tuple[Tensor, ...], output: Any) -> int:
    """Count projections of queries, keys, values and the result, and the products in all heads.

    The latter are queries by keys and weights by values.
    """
    examples, queries, features = given[0].shape
    keys = given[1].shape[1]
    return examples * (features**2 * (2 * queries + 2 * keys) + 2 * features * queries * keys)


def _windows(layer: ShiftedWindowAttention, given: tuple[Tensor, ...], output: Tensor) -> int:
    """Count attention within windows of tokens (examples, height, width, features).

    They are padded to whole windows, and each token attends to its window.
    """
    examples, *sides, features = given[0].shape
    tokens = examples * prod(
        -(-side // window) * window for side, window in zip(sides, layer.window_size, strict=True)
    )
    return tokens * (4 * features**2 + 2 * features * prod(layer.window_size))


def _grid(layer: RelativePositionalMultiHeadAttention, given: tuple[Tensor, ...], output: Tensor) -> int:
    """Count attention in groups of tokens (examples, groups, tokens, features).

    Its projections are Linears that are called.
    """
    examples, groups, tokens, features = given[0].shape
    return 2 * examples * groups * tokens**2 * features


_KINDS: tuple[tuple[type[nn.Module], Callable[[Any, tuple[Any, ...], Any], int]], ...] = (
    (_ConvNd, _convolution),
    (nn.Linear, _linear),
    (nn.MultiheadAttention, _attention),
    (ShiftedWindowAttention, _windows),
    (RelativePositionalMultiHeadAttention, _grid),
)
