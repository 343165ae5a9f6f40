"""Whether a network does better than a guess."""

from collections.abc import Sequence

from sweeps.study.selection.comparison import SURE


def at_chance(accuracies: Sequence[float], examples: int, classes: int) -> int:
    """Count the networks that are not shown to be better than a guess among the classes.

    Each is judged alone: by the binomial test, one-sided, with ``1 / classes`` of the ``examples`` told right
    by chance.
    """
    # imported late: it takes a second, and few reports need it
    from scipy.stats import binom

    return sum(
        float(binom.sf(round(accuracy * examples) - 1, examples, 1 / classes)) >= SURE
        for accuracy in accuracies
    )
