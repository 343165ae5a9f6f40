"""Second derivatives of any network: attention by the kernel that has them, and one sentence about what has none."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.attention import SDPBackend, sdpa_kernel

from pruners.errors import PrunerError

_NO_SECOND_DERIVATIVE = re.compile("is not implemented|differentiate twice|double backward", re.IGNORECASE)


@contextmanager
def differentiating_twice(method: str) -> Iterator[None]:
    """Run networks, and differentiate their gradients, by functions that have second derivatives.

    ``torch.nn.functional.scaled_dot_product_attention`` and all that is built on it take torch's math kernel: the fused ones are
    differentiable once only. PrunerError, for ``method``, where some other function of the network has no second derivative.
    """
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    except RuntimeError as error:
        if not _NO_SECOND_DERIVATIVE.search(str(error)):
            raise
        raise PrunerError(
            f"{method} differentiates the network twice, and a part of it cannot be: {str(error).splitlines()[0]} "
            "Take a method that needs first derivatives alone, such as snip."
        ) from error
