"""The way in: a network and a budget give an artifact."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.lowrank.decomposition import LiveDecomposition
from pruners.lowrank.planning import plan
from pruners.lowrank.spectra import spectra_of
from pruners.methods import method_named


def compress(
    model: nn.Module,
    method: str = "alds",
    *,
    keep_ratio: float | None = None,
    budget: int | None = None,
    flops_ratio: float | None = None,
    example: Tensor | None = None,
    data: Iterable[Any] | None = None,
    loss: Callable[..., Tensor] | None = None,
    seed: int = 0,
    **options: Any,
) -> LiveDecomposition:
    """Chooses how to decompose the network's Conv2d and Linear layers within exactly one of three budgets.

    ``keep_ratio`` is the share of all compressible weights kept (floor(keep_ratio * N)), ``budget`` their number,
    ``flops_ratio`` the share of the compressible layers' multiply-adds, which needs ``example``, a batch of input. ``data``
    (batches) and ``loss`` are for methods whose ``needs`` name them; ``seed`` for those that draw. ``options`` are the
    method's own, see `methods`. The network is not changed; ``artifact.apply(model)`` gives the small one.

    Raises PrunerError: UnknownMethod, UnknownOption, UnknownLayer, InfeasibleBudget (with ``least``), or one that names a
    layer with weights that are not finite or not there.
    """
    given = {"data": data, "loss": loss, "example": example}
    for need in method_named(method).needs:
        if given[need] is None:
            raise PrunerError(f"Method {method} needs {need}=.")
    spectra = spectra_of(model)
    chosen = plan(spectra, method, keep_ratio=keep_ratio, budget=budget, flops_ratio=flops_ratio, example=example, **options)
    return LiveDecomposition(chosen, spectra, model)
