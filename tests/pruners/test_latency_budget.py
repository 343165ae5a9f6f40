"""Budgets in time: exact for the table of times that they are spent by."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import pruners
from pruners.lowrank.latency.table import LatencyTable, latency_table_of
from pruners.lowrank.layers.candidates import layer_candidates


class Slow(nn.Module):
    """Two wide layers, one of which runs twice, and one that does not run."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(768, 768), nn.Linear(768, 768)
        self.last, self.idle = nn.Linear(768, 4), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.second(torch.relu(self.second(torch.relu(self.first(x)))))))


def tells_what_takes_longer(table, options):
    """Whether the large differences are seen."""
    dense, times = table.dense, table.nanoseconds("first", options)
    smallest = times[(options.ranks == 1) & (options.subspaces == 1)]
    return (
        dense["second"] > 1.2 * dense["first"] > 5 * dense["last"]
        and table.network > dense["second"] / 2
        and smallest < 0.5 * dense["first"]
    )


def test_the_table_tells_what_layers_take():
    example = torch.randn(256, 768)
    options = layer_candidates(pruners.compressible(Slow())["first"], (1, 2))
    tables = (LatencyTable(Slow().eval(), example) for _ in range(5))
    # other work that begins or ends beside one of them slows down a part of it only
    table = next((table for table in tables if tells_what_takes_longer(table, options)), None)
    assert table is not None, "five tables in a row do not tell a layer from one of twice the work"
    assert table.dense["idle"] == 0 and table.rest >= 0
    times = table.nanoseconds("first", options)
    assert times.dtype == np.int64 and (times > 0).all()
    assert times[options.ranks == 0] == table.dense["first"]
    # kept: the same times whenever they are asked for
    assert (table.nanoseconds("first", options) == times).all()


@pytest.mark.parametrize("options", [{"allocate": "sum", "error": "output"}, {"allocate": "minmax"}])
def test_no_choice_within_the_time_is_better(options):
    network = Slow().eval()
    kwargs = {"example": torch.randn(256, 768), "candidate_subspaces": [1, 2], "rank_multiple": 96}
    kwargs |= {"exclude": ["idle"], **options}
    data = torch.randn(40, 768, generator=torch.Generator().manual_seed(8))
    table = latency_table_of(network, kwargs["example"])
    least = pruners.least_budget(network, "latency_ms", method="calibrated", **kwargs)
    total = (table.rest + sum(table.dense.values())) / 1e6
    assert 0 < least < total
    choices = _choices(network, table, data, options)
    for share in (0.0, 0.1, 0.4, 0.7, 1.0):
        asked = least + share * (total - least)
        plan = pruners.plan(network, "calibrated", latency_ms=asked, data=data, **kwargs)
        # in milliseconds a whole number of nanoseconds is rounded
        assert plan.unit == "nanoseconds" and plan.cost <= plan.budget <= 1e6 * asked * (1 + 1e-12)
        found = [choice.error for choice in plan.layers.values()]
        within = [errors for time, errors in choices if time <= plan.budget]
        if options["allocate"] == "sum":
            best = min(sum(e**2 for e in errors) for errors in within)
            assert sum(e**2 for e in found) == pytest.approx(best)
        else:
            assert max(found, default=0.0) == pytest.approx(min(max(errors) for errors in within))
    with pytest.raises(pruners.InfeasibleBudget, match="nanoseconds cannot be met") as caught:
        pruners.plan(network, "calibrated", latency_ms=0.9 * least, data=data, **kwargs)
    assert caught.value.least == least


def _choices(network, table, data, options):
    """Time and errors of every combination of the three layers' options."""
    every = []
    for name in ("first", "second", "last"):
        shape = pruners.compressible(network)[name]
        found = [(table.dense[name], 0.0)]
        multiple = 96 if name != "last" else 1
        candidates = layer_candidates(shape, (1, 2), rank_multiple=multiple)
        times = table.nanoseconds(name, candidates)
        for rank, subspaces, time in zip(candidates.ranks, candidates.subspaces, times, strict=True):
            if rank:
                pinned = {name: {"rank": int(rank), "num_subspaces": int(subspaces)}}
                others = [n for n in pruners.compressible(network) if n != name]
                plan = pruners.plan(
                    network,
                    "calibrated",
                    keep_ratio=1.0,
                    layers=pinned,
                    exclude=others,
                    data=data,
                    error=options.get("error", "predicted"),
                )
                found.append((int(time), plan.error))
        every.append(found)
    fixed = table.rest + table.dense["idle"]
    return [
        (fixed + sum(t for t, _ in combined), [e for _, e in combined])
        for combined in itertools.product(*every)
    ]


def test_one_table_serves_all_budgets(network, batch):
    table = latency_table_of(network, batch)
    assert latency_table_of(network, batch.clone()) is table
    assert latency_table_of(network, torch.cat([batch, batch])) is not table


def test_a_network_of_another_dtype_or_memory_format_is_timed_anew(network, batch):
    first = latency_table_of(network, batch)
    assert latency_table_of(network, batch.clone()) is first
    last = latency_table_of(network.to(memory_format=torch.channels_last), batch)
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    reads = torch.nn.Sequential(torch.nn.Embedding(4, 8), torch.nn.Linear(8, 8))
    single = latency_table_of(reads, tokens)
    assert last is not first and latency_table_of(reads.double(), tokens) is not single


def test_what_a_budget_in_time_needs_is_said(network, batch):
    with pytest.raises(pruners.PrunerError, match=r"latency_ms\) needs example="):
        pruners.compress(network, latency_ms=1.0)
    with torch.device("meta"):
        nowhere = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(pruners.PrunerError, match="on the meta device and has no values"):
        pruners.least_budget(nowhere, "latency_ms", example=batch)
    with pytest.raises(pruners.PrunerError, match="has no weights before it has seen an input"):
        pruners.least_budget(nn.Sequential(nn.LazyLinear(3)), "latency_ms", example=batch)
    with pytest.raises(pruners.PrunerError, match=r"must be a torch\.nn\.Module"):
        pruners.least_budget("network", "latency_ms", example=batch)
    with pytest.raises(pruners.PrunerError, match="such as alds"):
        pruners.compress(network, "svd", latency_ms=1000.0, example=batch)
    with pytest.raises(pruners.PrunerError, match="not of milliseconds"):
        pruners.compress(network, "magnitude", latency_ms=1.0)
    with pytest.raises(pruners.PrunerError, match="not its shapes"):
        pruners.least_budget(pruners.NetworkShape(network), "latency_ms", example=batch)
    with pytest.raises(pruners.PrunerError, match="latency_ms must be a positive number"):
        pruners.compress(network, latency_ms=-1.0, example=batch)
