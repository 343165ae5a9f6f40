"""Networks whose gradient is to be differentiated: the same values, and second derivatives that cost less."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from pruners.sparse.batchnorm_gradients import BatchNorm
from pruners.sparse.convolution_gradients import Convolution

_DIMENSIONS: dict[Callable[..., Tensor], int] = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}


class TwiceDifferentiable(TorchFunctionMode):
    """Inside ``with TwiceDifferentiable():`` convolutions, and BatchNorm by the batch's statistics, have cheaper second derivatives.

    Values and derivatives agree with torch's own up to rounding, but for BatchNorm's scale and shift, which count as constants.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """One call of a torch function; all others run as ever."""
        kwargs = kwargs or {}
        if func in _DIMENSIONS:
            return _convolution(func, *args, **kwargs)
        if func is functional.batch_norm:
            return _batch_norm(*args, **kwargs)
        return func(*args, **kwargs)


def _convolution(
    func: Callable[..., Tensor],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Any:
    dimensions = _DIMENSIONS[func]
    if isinstance(padding, str) or input.dim() != dimensions + 2:  # "same", or an input without a batch
        return func(input, weight, bias, stride, padding, dilation, groups)
    sides = [[side] * dimensions if isinstance(side, int) else list(side) for side in (stride, padding, dilation)]
    return Convolution.apply(input, weight, bias, (*sides, False, [0] * dimensions, groups))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    own = [tensor for tensor in (weight, bias) if tensor is not None]
    constant = all(tensor.is_leaf and tensor.dtype == input.dtype for tensor in own)
    # torch names what is wrong with a batch of one value a channel
    several = input.numel() > input.shape[1]
    if running_mean is None and training and constant and several:
        return BatchNorm.apply(input, *(tensor if tensor is None else tensor.detach() for tensor in (weight, bias)), eps)
    return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
