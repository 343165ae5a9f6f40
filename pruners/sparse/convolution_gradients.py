"""A convolution whose second derivatives are convolutions and first derivatives again.

Torch's own second derivative in the weight convolves whole images with whole images as kernels, which takes two to four times as long
as the weight's ordinary gradient; but that is what it is, of other arguments.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

_backward = torch.ops.aten.convolution_backward.default


class Convolution(torch.autograd.Function):
    """y = x * w + b, (n, out, ...); its settings are stride, padding, dilation, transposed, output padding and groups."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, ...]) -> Tensor:
        """The outputs, as `torch.convolution` gives them."""
        ctx.save_for_backward(inputs, weight)
        ctx.settings, ctx.bias_shape = settings, None if bias is None else list(bias.shape)
        return torch.convolution(inputs, weight, bias, *settings)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        """dL/dx, dL/dw and dL/db where asked for."""
        inputs, weight = ctx.saved_tensors
        return *_Gradients.apply(outer[0], inputs, weight, ctx.bias_shape, ctx.settings, ctx.needs_input_grad[:3]), None


class _Gradients(torch.autograd.Function):
    """(dL/dx, dL/dw, dL/db) from dL/dy, x and w: each is linear in dL/dy and in x or w, so its own gradients are convolutions again."""

    @staticmethod
    def forward(
        ctx: Any,
        outer: Tensor,
        inputs: Tensor,
        weight: Tensor,
        bias_shape: list[int] | None,
        settings: tuple[Any, ...],
        mask: Sequence[bool],
    ) -> Any:
        ctx.save_for_backward(outer, inputs, weight)
        ctx.settings = settings
        ctx.set_materialize_grads(False)
        return _backward(outer, inputs, weight, bias_shape, *settings, mask)

    @staticmethod
    def backward(ctx: Any, *directions: Tensor | None) -> Any:
        of_inputs, of_weight, of_bias = directions
        outer, inputs, weight = ctx.saved_tensors
        settings, needed = ctx.settings, ctx.needs_input_grad
        to_outer = to_inputs = to_weight = None
        if needed[0]:
            terms = [] if of_inputs is None else [torch.convolution(of_inputs, weight, None, *settings)]
            terms += [] if of_weight is None else [torch.convolution(inputs, of_weight, None, *settings)]
            terms += [] if of_bias is None else [of_bias.view(-1, *[1] * (outer.dim() - 2)).expand_as(outer)]
            # the first is a convolution's own, unless it is the only one
            to_outer = reduce(Tensor.add_, terms) if terms else None
        if needed[1] and of_weight is not None:
            to_inputs = _backward(outer, inputs, of_weight, None, *settings, [True, False, False])[0]
        if needed[2] and of_inputs is not None:
            to_weight = _backward(outer, of_inputs, weight, None, *settings, [False, True, False])[1]
        return to_outer, to_inputs, to_weight, None, None, None
