"""How many weights a share is, and how a number of them is divided, exact in fractions of decimals."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from pruners.option_values import Share


def exact_share(value: Any, what: str) -> Fraction:
    """Return the share that the user wrote, .1 as one tenth and not as the float beside it.

    PrunerError unless in (0, 1].
    """
    return Fraction(str(Share().checked(value, what)))


def kept(share: Fraction, weights: int) -> int:
    """Compute ceil(share * weights): .1 of 30 is 3."""
    return math.ceil(share * weights)


def as_share(count: int, weights: int) -> float:
    """Return the float nearest to count / weights of which `kept` makes ``count`` again."""
    share = count / weights
    while kept(Fraction(str(share)), weights) > count:
        share = math.nextafter(share, 0.0)
    return share


def divided(total: int, parts: Sequence[int], least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Divide ``total`` in proportion to ``parts``, each within its bounds, by largest remainders.

    Earlier ones win ties. What a bound cuts off or adds is shared by the others in proportion, so the ideal
    is clip(scale * part, least, most) for the one scale with the right total. ``sum(least) <= total <=
    sum(most)`` must hold, and every part that may get something be above 0.
    """

    def at(scale: Fraction) -> list[Fraction]:
        return [
            min(max(scale * part, Fraction(low)), Fraction(high))
            for part, low, high in zip(parts, least, most, strict=True)
        ]

    # between two of these scales the sum is linear
    bounds = sorted(
        {Fraction(0)}
        | {Fraction(b, p) for p, *both in zip(parts, least, most, strict=True) for b in both if p}
    )
    i = bisect_right(bounds, Fraction(total), key=lambda scale: sum(at(scale), Fraction(0))) - 1
    ideal = at(bounds[i])
    if sum(ideal) < total:
        step = Fraction(total - sum(ideal), sum(at(bounds[i + 1])) - sum(ideal))
        ideal = at(bounds[i] + step * (bounds[i + 1] - bounds[i]))
    return rounded(ideal, total)


def rounded(ideal: Sequence[Fraction], total: int) -> list[int]:
    """Round numbers whose sum is ``total`` to whole ones of that sum, by largest remainders.

    Earlier ones win ties.
    """
    counts = [math.floor(count) for count in ideal]
    by_remainder = sorted(range(len(ideal)), key=lambda n: counts[n] - ideal[n])
    for n in by_remainder[: total - sum(counts)]:
        counts[n] += 1
    return counts


def after_rounds(start: int, end: int, rounds: int, schedule: str) -> list[int]:
    """Count what is left of ``start`` weights after each round, ``end`` after the last; never more again.

    linear: start - (start - end) i/n after round i of n; exponential: start (end/start)^(i/n); both rounded
    up.
    """
    if schedule == "linear":
        return [
            end + math.ceil(Fraction((start - end) * (rounds - done), rounds))
            for done in range(1, rounds + 1)
        ]
    return [_root_above(start ** (rounds - done) * end**done, rounds) for done in range(1, rounds + 1)]


def _root_above(power: int, degree: int) -> int:
    """Return the least whole number whose power of this degree is at least ``power``."""
    root = round(math.exp(math.log(power) / degree)) if power else 0
    while root**degree < power:
        root += 1
    while root and (root - 1) ** degree >= power:
        root -= 1
    return root
