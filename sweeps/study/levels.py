"""What a lottery's levels come to: the tickets that the study is about."""

from collections.abc import Mapping, Sequence
from typing import Any

Level = Mapping[str, Any]
"""One entry of a lottery's ``levels``: density, tracks, verdict, replicates, ..., as result.json has them."""

TICKET = "ticket"


def best(levels: Sequence[Level]) -> Level:
    """The level below the dense network whose ticket has the highest mean accuracy."""
    return max(levels[1:], key=lambda level: float(level["tracks"][TICKET]["val/accuracy"]))


def sparsest_not_worse(levels: Sequence[Level]) -> Level | None:
    """The last level before the first whose tickets are told to be worse than the dense networks.

    None where the first level's are, or where one seed was run and nothing can be told. What comes behind a level that is worse counts
    no more, even where its wider interval holds 0.
    """
    found = None
    for level in levels[1:]:
        if level["verdict"][TICKET]["verdict"] not in ("matching", "better"):
            break
        found = level
    return found
