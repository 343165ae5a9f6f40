"""What a lottery's levels come to: the tickets that the study is about."""

from collections.abc import Mapping, Sequence
from typing import Any

Level = Mapping[str, Any]
"""One entry of a lottery's ``levels``: density, tracks, verdict, replicates, ..., as result.json has them."""

TICKET = "ticket"


def best(levels: Sequence[Level]) -> Level:
    """The level below the dense network whose ticket has the highest mean accuracy."""
    return max(levels[1:], key=lambda level: float(level["tracks"][TICKET]["val/accuracy"]))


def first_worse(levels: Sequence[Level]) -> Level | None:
    """The densest level whose tickets are told to be worse than the dense networks."""
    return next((level for level in levels[1:] if level["verdict"][TICKET]["verdict"] == "worse"), None)


def sparsest_reaching(levels: Sequence[Level]) -> Level | None:
    """The sparsest level whose tickets' mean accuracy is the dense networks' or more.

    Not to be told apart is not enough: the fewer the seeds, the more that holds of. A level behind one that is worse counts no more.
    """
    worse = first_worse(levels)
    before = levels[1 : levels.index(worse)] if worse is not None else levels[1:]
    return next((level for level in reversed(before) if level["verdict"][TICKET]["difference"] >= 0), None)
