"""The options of one layer that are worth looking at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pruners.errors import PrunerError


@dataclass(frozen=True, eq=False)
class Options:
    """A layer's options as parallel arrays: costs strictly ascending, errors strictly descending.

    ``indices`` are those into the arrays that the layer was given with.
    """

    costs: NDArray[np.int64]
    errors: NDArray[np.float64]
    indices: NDArray[np.int64]

    def only(self, kept: NDArray[np.bool_]) -> "Options":
        """Return some of the options."""
        return Options(self.costs[kept], self.errors[kept], self.indices[kept])


def worthwhile_options(layer: int, costs: ArrayLike, errors: ArrayLike) -> Options:
    """Leave out a layer's options that cost no less than another whose error is no larger.

    Of equal ones the first stays. Raises PrunerError, which names the layer by its number, for arrays of
    different lengths, costs that are no whole numbers of at least 0, errors below 0 or not numbers, and a
    layer without an option of finite error.
    """
    cost, error = np.asarray(costs), np.asarray(errors, dtype=np.float64)
    if cost.shape != error.shape or cost.ndim != 1:
        raise PrunerError(f"Layer {layer} has {cost.size} costs and {error.size} errors.")
    if not np.issubdtype(cost.dtype, np.integer) and cost.size:
        raise PrunerError(f"Costs of layer {layer} must be whole numbers, not {cost.dtype}.")
    if (cost < 0).any() or not (error >= 0).all():
        raise PrunerError(f"Costs and errors of layer {layer} must be numbers of at least 0.")
    order = np.lexsort((error, cost))
    best_before = np.minimum.accumulate(np.concatenate([[np.inf], error[order]]))[:-1]
    kept = order[error[order] < best_before]
    if not len(kept):
        raise PrunerError(f"Layer {layer} has no option whose error is finite.")
    return Options(cost[kept].astype(np.int64), error[kept], kept.astype(np.int64))


def lower_hull(options: Options) -> NDArray[np.bool_]:
    """Tell which options are corners of the lower convex hull of (cost, error); the ends are."""
    costs, errors = options.costs.astype(np.float64).tolist(), options.errors.tolist()
    kept: list[int] = []
    for i, (cost, error) in enumerate(zip(costs, errors, strict=True)):
        while len(kept) > 1:
            first, last = kept[-2:]
            if (errors[first] - errors[last]) * (cost - costs[first]) > (errors[first] - error) * (
                costs[last] - costs[first]
            ):
                break
            kept.pop()
        kept.append(i)
    corners = np.zeros(len(costs), dtype=np.bool_)
    corners[kept] = True
    return corners
