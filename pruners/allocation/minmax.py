"""A budget spent over layers so that the largest error is as small as possible.

Then the next largest, and so on.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def minmax(
    costs: Sequence[NDArray[np.int64]], errors: Sequence[NDArray[np.float64]], budget: int
) -> list[int]:
    """Spend ``budget`` over the layers: return one option's index for each.

    Layer by layer ``costs`` ascend and ``errors`` descend strictly. All layers start with their cheapest
    option, which must be within ``budget``. The layer with the largest error (the first of several) takes its
    next option; when that does not fit, no choice has a smaller largest error, so the layer keeps what it has
    and the others go on. Every layer is then as cheap as its error allows, hence exact: the result is the
    lexicographic minimum of the errors sorted in descending order (among layers with equal errors the first
    goes first).
    """
    number = len(costs)
    left = budget - sum(int(c[0]) for c in costs)
    owner = np.repeat(np.arange(number), [len(c) - 1 for c in costs])
    steps = np.concatenate([np.diff(c) for c in costs])
    order = np.argsort(-np.concatenate([e[:-1] for e in errors]), kind="stable")
    owner, steps = owner[order], steps[order]
    taken = np.zeros(number, dtype=np.int64)
    while len(steps):
        spent = np.cumsum(steps)
        fits = int(np.searchsorted(spent, left, side="right"))
        taken += np.bincount(owner[:fits], minlength=number)
        if fits == len(steps):
            break
        left -= int(spent[fits - 1]) if fits else 0
        still_open = owner[fits:] != owner[fits]
        owner, steps = owner[fits:][still_open], steps[fits:][still_open]
    return taken.tolist()
