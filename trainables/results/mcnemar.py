"""Whether one network tells more examples right than another, told from the same examples."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def mcnemar(right: NDArray[np.bool_], reference: NDArray[np.bool_]) -> dict[str, Any]:
    """Judge which of two networks tells more of the same examples right; both arrays are (examples,).

    The exact test of McNemar (Psychometrika 12, 1947; exact as in Edwards 1948): of the examples that only
    one of the two tells right, as many should be the one's as the other's. ``p`` is its two-sided binomial
    probability, 1 where there is no such example. ``difference`` is that of the accuracies, ``error`` its
    standard error, ``only`` and ``only_reference`` count the examples that one alone tells right.
    """
    only, only_reference = int((right & ~reference).sum()), int((reference & ~right).sum())
    discordant, examples = only + only_reference, len(right)
    spread = discordant - (only - only_reference) ** 2 / examples
    return {
        "difference": (only - only_reference) / examples,
        "error": math.sqrt(max(0.0, spread)) / examples,
        "p": min(1.0, 2 * _ways(discordant, min(only, only_reference)) / 2**discordant),
        "only": only,
        "only_reference": only_reference,
        "examples": examples,
    }


def _ways(examples: int, most: int) -> int:
    """Count the ways in which at most ``most`` of the examples are the one network's."""
    ways = term = 1
    for count in range(1, most + 1):
        term = term * (examples - count + 1) // count
        ways += term
    return ways
