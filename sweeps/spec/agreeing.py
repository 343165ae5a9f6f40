"""Draws whose values go together, found among those that do not."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution

from sweeps.errors import Incompatible
from sweeps.search import space as spaces

Draw = dict[str, Any]
Check = Callable[[Draw], Any]
"""Raises `Incompatible` for a draw whose values do not go together, another `SweepError` for one that is wrong in itself."""

_TRIES = 300


def base(space: Mapping[str, BaseDistribution], check: Check) -> Draw:
    """Return a draw that goes together: each parameter's first choice or lower end, else one found at random, the same every time.

    Raises the first draw's `Incompatible` where none is found.
    """
    return _with(space, {name: spaces.extremes(distribution)[0] for name, distribution in space.items()}, {}, check)


def check_choices(space: Mapping[str, BaseDistribution], first: Draw, check: Check) -> None:
    """Raise `Incompatible` for a choice, or for the middle of a range, with which no draw that was tried goes together."""
    for name, distribution in space.items():
        for value in spaces.inside(distribution):
            _with(space, first | {name: value}, {name: value}, check)


def _with(space: Mapping[str, BaseDistribution], first: Draw, held: Mapping[str, Any], check: Check) -> Draw:
    """``first`` where it goes together, else a draw with ``held`` that does."""
    try:
        check(first)
        return first
    except Incompatible as error:
        failed = error
    dice = random.Random(0)
    for _ in range(_TRIES if len(space) > len(held) else 0):
        draw = {name: dice.choice([*spaces.inside(d), *spaces.extremes(d)]) for name, d in space.items()} | dict(held)
        try:
            check(draw)
            return draw
        except Incompatible:
            continue
    raise failed
