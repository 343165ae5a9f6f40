"""Whether a network is as good as another, told from several seeds and never from one."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from trainables.metric_names import Goal

CONFIDENCE = 0.95
_ROUNDING = 1e-9  # what accuracies that are equal fractions may differ by as floats


def verdict(values: Sequence[float], reference: Sequence[float], goal: Goal = "maximize") -> dict[str, Any]:
    """Judge ``values`` against ``reference``, a metric of the same seeds in the same order.

    By Student's paired t-test (two-sided). ``verdict`` is better or worse where the 95 % confidence interval
    (``low``, ``high``) of the mean ``difference`` leaves out 0, else matching: not told apart by so many
    ``seeds``, which says the less the wider the interval is. One seed tells nothing (``one seed``). ``p`` is
    the test's. Equal differences have no spread that it could judge by: where they are not zero that is said
    (``no spread``).
    """
    differences = [value - other for value, other in zip(values, reference, strict=True)]
    mean, seeds = statistics.fmean(differences), len(differences)
    if seeds < 2:
        return {"verdict": "one seed", "difference": mean, "seeds": seeds}
    spread = statistics.stdev(differences)
    if spread < _ROUNDING:
        if abs(mean) > _ROUNDING:
            return {"verdict": "no spread", "difference": mean, "seeds": seeds}
        return {"verdict": "matching", "difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0, "seeds": seeds}
    # scipy.stats takes as long to import as a third of torch, this a tenth of that
    from scipy.special import stdtr, stdtrit

    error, freedom = spread / math.sqrt(seeds), seeds - 1
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    low, high = mean - reach, mean + reach
    p = 2 * float(stdtr(freedom, -abs(mean) / error))
    above, below = ("better", "worse") if goal == "maximize" else ("worse", "better")
    word = above if low > 0 else below if high < 0 else "matching"
    return {
        "verdict": word,
        "difference": mean,
        "low": low,
        "high": high,
        "p": p,
        "seeds": seeds,
    }
