"""Budgets: a share of the parameters, a number of parameters, or a share of the multiply-adds."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pruners.errors import PrunerError
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.option_values import Share, Whole

BudgetKind = Literal["keep_ratio", "budget", "flops_ratio"]
KINDS: tuple[BudgetKind, ...] = ("keep_ratio", "budget", "flops_ratio")


@dataclass(frozen=True)
class Budget:
    """The most that all compressible weights together may cost.

    ``limit`` is in ``unit``: parameters or multiply_adds.
    """

    kind: BudgetKind
    limit: int
    unit: str

    def as_asked(self, cost: int, shape: NetworkShape) -> float:
        """Return a cost as the least value of the user's own keyword that allows it.

        That is a share, or the number itself.
        """
        return cost if self.kind == "budget" else least_share_allowing(cost, shape.total(self.unit))


def resolve_budget(
    shape: NetworkShape, keep_ratio: float | None, budget: int | None, flops_ratio: float | None
) -> Budget:
    """Return the one budget that was given; PrunerError unless exactly one was, within its range."""
    given = {k: v for k, v in zip(KINDS, (keep_ratio, budget, flops_ratio), strict=True) if v is not None}
    if len(given) != 1:
        raise PrunerError(
            "Give exactly one of keep_ratio, budget and flops_ratio, not "
            f"{' and '.join(given) or 'none of them'}."
        )
    ((kind, value),) = given.items()
    unit = unit_of(kind)
    if kind == "budget":
        return Budget(kind, Whole(1, 2**63 - 1, of="parameters").checked(value, kind), unit)
    return Budget(kind, floor_of_share(Share().checked(value, kind), shape.total(unit)), unit)


def unit_of(kind: str) -> str:
    """Return what a kind of budget counts: parameters or multiply_adds."""
    if kind not in KINDS:
        raise PrunerError(f"A budget is one of {', '.join(KINDS)}, not {kind!r}.")
    return "multiply_adds" if kind == "flops_ratio" else "parameters"


def floor_of_share(share: float, total: int) -> int:
    """Return floor(share * total), the share as the decimal number that the user wrote.

    .29 of 100 is 29, not 28.
    """
    return math.floor(Fraction(str(float(share))) * total)


def least_share_allowing(cost: int, total: int) -> float:
    """Return the smallest float whose `floor_of_share` of the total is at least ``cost``."""
    share = cost / total if total else 0.0
    while floor_of_share(share, total) < cost:
        share = math.nextafter(share, math.inf)
    return share
