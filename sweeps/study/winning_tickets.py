"""The tickets that a lottery's study is about, found among its levels."""

from collections.abc import Mapping, Sequence
from typing import Any

from sweeps.study.record import Objective

Level = Mapping[str, Any]
"""One entry of a lottery's ``levels``: density, tracks, verdict, replicates, ..., as result.json has them."""

TICKET = "ticket"


def best(levels: Sequence[Level], primary: Objective) -> Level:
    """Return the level below the dense network whose tickets are best in the mean of ``primary``."""
    return max(levels[1:], key=lambda level: primary.gain(float(level["tracks"][TICKET][primary.name])))


def first_worse(levels: Sequence[Level]) -> Level | None:
    """Return the densest level whose tickets are told to be worse than the dense networks."""
    return next((level for level in levels[1:] if level["verdict"][TICKET]["verdict"] == "worse"), None)


def sparsest_reaching(levels: Sequence[Level], primary: Objective) -> Level | None:
    """Return the sparsest level whose tickets are as good as the dense networks, or better.

    That is in the mean of ``primary``.

    Not to be told apart is not enough: the fewer the seeds, the more that holds of. A level behind one that
    is worse counts no more.
    """
    worse = first_worse(levels)
    before = levels[1 : levels.index(worse)] if worse is not None else levels[1:]
    return next(
        (level for level in reversed(before) if primary.gain(level["verdict"][TICKET]["difference"]) >= 0),
        None,
    )
