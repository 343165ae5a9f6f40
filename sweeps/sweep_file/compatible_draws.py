"""Draws whose values go together, found among those that do not."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from sweeps.errors import Incompatible
from sweeps.sweep_file.distributions import extremes, inside
from sweeps.sweep_file.space import Space

Draw = dict[str, Any]
Check = Callable[[Draw], Any]
"""Raises `Incompatible` where a draw's values do not go together, another `SweepError` for a wrong value."""

_TRIES = 300


def first_draw(space: Space, check: Check) -> Draw:
    """Return a draw whose values go together: each parameter's first choice or lower end, else a random one.

    It is the same draw every time.

    Raises the first draw's `Incompatible` where none is found.
    """
    return _with(space, {}, {}, check)


def check_choices(space: Space, first: Draw, check: Check) -> None:
    """Check that each choice, and the middle of each range, goes together with some draw.

    Raises `Incompatible` for one with which no draw that was tried does.
    """
    for name, distribution in space.distributions.items():
        for value in inside(distribution):
            _with(space, first, {**space.above(name), name: value}, check)


def _with(space: Space, first: Draw, held: Mapping[str, Any], check: Check) -> Draw:
    """Return ``first`` with ``held`` put in where that goes together, else a draw with ``held`` that does."""
    draw = space.filled({**first, **held})
    try:
        check(draw)
        return draw
    except Incompatible as error:
        failed = error
    dice = random.Random(0)
    for _ in range(_TRIES if len(space.distributions) > len(held) else 0):
        drawn = {name: dice.choice([*inside(d), *extremes(d)]) for name, d in space.distributions.items()}
        draw = space.filled({**drawn, **held})
        try:
            check(draw)
            return draw
        except Incompatible:
            continue
    raise failed
