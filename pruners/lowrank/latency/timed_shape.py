"""A network whose layers cost time."""

from collections.abc import Mapping

from torch import nn

from pruners.lowrank.latency.table import LatencyTable
from pruners.lowrank.layers.budget import NANOSECONDS
from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.shapes import NetworkShape


class TimedShape(NetworkShape):
    """A network's shapes with a table of its layers' times; `priced` options cost nanoseconds."""

    def __init__(self, model: nn.Module, table: LatencyTable) -> None:
        super().__init__(model)
        self._table = table

    def priced(self, candidates: Mapping[str, Candidates]) -> dict[str, Candidates]:
        """Return the options with their nanoseconds in the place of their weights."""
        return {name: c.priced(self._table.nanoseconds(name, c)) for name, c in candidates.items()}

    def unit_cost(self, name: str, unit: str) -> int:
        """Return what each unit of an option's cost costs: a nanosecond is one."""
        return 1 if unit == NANOSECONDS else super().unit_cost(name, unit)

    def total(self, unit: str) -> int:
        """Return the cost of the network left dense."""
        if unit != NANOSECONDS:
            return super().total(unit)
        return self._table.total

    def fixed_cost(self, unit: str) -> int:
        """Return the part of `total` that no choice changes."""
        if unit != NANOSECONDS:
            return super().fixed_cost(unit)
        return self._table.rest + sum(self._table.dense[name] for name in self.fixed)
