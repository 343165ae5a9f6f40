"""Which of very many trials a chart draws."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sweeps.report.drawing.wording import compact

POINTS = 1500
"""More of them are a cloud that takes a browser long and tells nobody more."""
_Trial = TypeVar("_Trial")


def thinned(trials: Sequence[_Trial], gain: Callable[[_Trial], float], most: int = POINTS) -> list[_Trial]:
    """Return all trials; of more than ``most`` the best by ``gain`` and, as evenly as can be, others.

    They stay in their order; half of them are the best.
    """
    if len(trials) <= most:
        return list(trials)
    order = sorted(range(len(trials)), key=lambda place: -gain(trials[place]))
    best, others = set(order[: most // 2]), sorted(order[most // 2 :])
    wanted = most - len(best)
    kept = best | {others[place * len(others) // wanted] for place in range(wanted)}
    return [trials[place] for place in sorted(kept)]


def thinning_said(drawn: int, amount: int) -> str:
    """Say, behind a caption, that not all trials are drawn; nothing where they are."""
    if drawn >= amount:
        return ""
    half = f"{compact(drawn)} of {compact(amount)} trials are drawn: the best, and others at even distances."
    return f" {half}"
