"""Second derivatives: functions that have them in place of those that do not, or one sentence about it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from pruners.errors import PrunerError

_NO_SECOND_DERIVATIVE = re.compile("is not implemented|differentiate twice|double backward", re.IGNORECASE)


@contextmanager
def differentiating_twice(method: str) -> Iterator[None]:
    """Run networks, and differentiate their gradients, by functions that have second derivatives.

    ``torch.nn.functional.scaled_dot_product_attention`` and all that is built on it take torch's math kernel:
    the fused ones are differentiable once only; so is the hard sigmoid (MobileNetV3's), which is put together
    from others. PrunerError, for ``method``, where some other function of the network has no second
    derivative.
    """
    try:
        with sdpa_kernel(SDPBackend.MATH), _HardSigmoid():
            yield
    except RuntimeError as error:
        if not _NO_SECOND_DERIVATIVE.search(str(error)):
            raise
        said = str(error).splitlines()[0].rstrip(".")
        raise PrunerError(
            f"{method} differentiates the network twice, and a part of it cannot be: {said}. "
            "Take a method that needs first derivatives alone, such as snip."
        ) from error


class _HardSigmoid(TorchFunctionMode):
    """Inside ``with _HardSigmoid():`` the hard sigmoid can be differentiated twice."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one torch function: a hard sigmoid by one that can be differentiated twice, others as ever."""
        return (
            _hard_sigmoid(*args, **kwargs or {})
            if func is functional.hardsigmoid
            else func(*args, **kwargs or {})
        )


def _hard_sigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    outputs = functional.relu6(input + 3) / 6
    return input.copy_(outputs) if inplace else outputs
