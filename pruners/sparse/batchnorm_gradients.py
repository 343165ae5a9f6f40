"""BatchNorm by the batch's own statistics, whose second derivative takes five passes over the activations in place of some thirty."""

from typing import Any

import torch
from torch import Tensor

_backward = torch.ops.aten.native_batch_norm_backward.default


class BatchNorm(torch.autograd.Function):
    """y = scale * (x - mean) / deviation + shift over all but dimension 1 of x (n, channels, ...); scale and shift count as constants."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, scale: Tensor | None, shift: Tensor | None, eps: float) -> Tensor:
        """The outputs, as `torch.batch_norm` in training gives them."""
        outputs, mean, inverse = torch.native_batch_norm(inputs, scale, shift, None, None, True, 0.0, eps)
        ctx.save_for_backward(inputs, scale, mean, inverse)
        ctx.eps = eps
        return outputs

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        """dL/dx."""
        return _Gradient.apply(outer[0], *ctx.saved_tensors, ctx.eps), None, None, None


class _Gradient(torch.autograd.Function):
    """dL/dx from g = dL/dy: scale / deviation * P g, where P g = g - mean(g) - z mean(g z) and z is x normalised.

    P is symmetric, so the derivative of <u, dL/dx> in g is the same function of u. Its derivative in x is
    -(scale / deviation^2) * (c z + b P u + a P g) with a = mean(u z), b = mean(g z), c = mean(u g) - mean(u) mean(g) - a b.
    """

    @staticmethod
    def forward(ctx: Any, outer: Tensor, inputs: Tensor, scale: Tensor | None, mean: Tensor, inverse: Tensor, eps: float) -> Tensor:
        result, *sums = _backward(outer, inputs, scale, None, None, mean, inverse, True, eps, [True, True, True])
        ctx.save_for_backward(outer, inputs, scale, mean, inverse, result, *sums)
        ctx.eps = eps
        return result

    @staticmethod
    def backward(ctx: Any, *direction: Tensor) -> Any:
        outer, inputs, scale, mean, inverse, result, outer_z, outer_sum = ctx.saved_tensors
        (u,) = direction
        count = inputs.numel() // inputs.shape[1]
        to_outer, u_z, u_sum = _backward(u, inputs, scale, None, None, mean, inverse, True, ctx.eps, [True, True, True])
        # the sum of u g by the same fused kernel: it normalises u by mean 0 and deviation 1
        zeros, ones = torch.zeros_like(mean), torch.ones_like(mean)
        u_outer = _backward(outer, u, None, None, None, zeros, ones, True, ctx.eps, [False, True, False])[1]
        a, b = u_z / count, outer_z / count
        c = u_outer / count - u_sum * outer_sum / count**2 - a * b
        slope = -(inverse**3) * c if scale is None else -(inverse**3) * c * scale

        def channels(values: Tensor) -> Tensor:
            return values.view(-1, *[1] * (inputs.dim() - 2))

        to_inputs = torch.addcmul(channels(-mean * slope), inputs, channels(slope))
        to_inputs.addcmul_(to_outer, channels(-inverse * b)).addcmul_(result, channels(-inverse * a))
        return to_outer, to_inputs, None, None, None, None
