"""Budgets: a share or a number of the parameters, a share of multiply-adds or of time, or milliseconds."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

from pruners.errors import PrunerError
from pruners.option_values import Number, Share, Whole

BudgetKind = Literal["keep_ratio", "budget", "flops_ratio", "latency_ratio", "latency_ms"]
KINDS: tuple[BudgetKind, ...] = ("keep_ratio", "budget", "flops_ratio", "latency_ratio", "latency_ms")
IN_TIME = ("latency_ratio", "latency_ms")
"""The kinds that need a table of times."""

NANOSECONDS = "nanoseconds"
_IN_A_MILLISECOND = 1_000_000


class Totals(Protocol):
    """What tells a dense network's cost in parameters, multiply_adds or nanoseconds."""

    def total(self, unit: str) -> int:
        """Return the cost of all that a budget is about, left dense."""
        ...


@dataclass(frozen=True)
class Budget:
    """The most that all compressible weights together may cost, or the network in nanoseconds.

    ``limit`` is in ``unit``: parameters, multiply_adds or nanoseconds.
    """

    kind: BudgetKind
    limit: int
    unit: str

    def __str__(self) -> str:
        """Say what it allows: 400 parameters, or 1.2 ms."""
        unit = "ms" if self.unit == NANOSECONDS else self.unit.replace("_", "-")
        return f"{self.amount(self.limit)} {unit}"

    def amount(self, cost: int) -> str:
        """Say a cost in its unit as a message has it: time in milliseconds."""
        return f"{cost / _IN_A_MILLISECOND:.4g}" if self.unit == NANOSECONDS else str(cost)

    def as_asked(self, cost: int, shape: Totals) -> float:
        """Return a cost as the least value of the user's own keyword that allows it.

        That is a share, or the number itself.
        """
        if self.kind == "budget":
            return cost
        total = _IN_A_MILLISECOND if self.kind == "latency_ms" else shape.total(self.unit)
        return least_share_allowing(cost, total)


def resolve_budget(
    shape: Totals,
    keep_ratio: float | None,
    budget: int | None,
    flops_ratio: float | None,
    latency_ratio: float | None = None,
    latency_ms: float | None = None,
) -> Budget:
    """Return the one budget that was given; PrunerError unless exactly one was, within its range."""
    values = (keep_ratio, budget, flops_ratio, latency_ratio, latency_ms)
    given = {kind: value for kind, value in zip(KINDS, values, strict=True) if value is not None}
    if len(given) != 1:
        raise PrunerError(
            f"Give exactly one of {', '.join(KINDS[:-1])} and {KINDS[-1]}, not "
            f"{' and '.join(given) or 'none of them'}."
        )
    ((kind, value),) = given.items()
    unit = unit_of(kind)
    if kind == "budget":
        return Budget(kind, Whole(1, 2**63 - 1, of="parameters").checked(value, kind), unit)
    if kind == "latency_ms":
        checked = Number(above=True).checked(value, kind)
        return Budget(kind, floor_of_share(checked, _IN_A_MILLISECOND), unit)
    return Budget(kind, floor_of_share(Share().checked(value, kind), shape.total(unit)), unit)


def unit_of(kind: str) -> str:
    """Return what a kind of budget counts: parameters, multiply_adds or nanoseconds."""
    if kind not in KINDS:
        raise PrunerError(f"A budget is one of {', '.join(KINDS)}, not {kind!r}.")
    units = {"flops_ratio": "multiply_adds"} | dict.fromkeys(IN_TIME, NANOSECONDS)
    return units.get(kind, "parameters")


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
