"""Budgets in time: exact for the table of times that they are spent by."""

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.latency.tables import LatencyTables, digest_of
from pruners.latency.timed_on import device_name, timed_on
from pruners.lowrank.latency.table import LatencyTable
from pruners.lowrank.layers.candidates import layer_candidates
from tests.pruners.latency_files import decomposed_part, dense_part, written


class Slow(nn.Module):
    """Two wide layers, one of which runs twice, and one that does not run."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(768, 768), nn.Linear(768, 768)
        self.last, self.idle = nn.Linear(768, 4), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.second(torch.relu(self.second(torch.relu(self.first(x)))))))


EXAMPLE = torch.ones(256, 768)


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
    options = layer_candidates(pruners.compressible(Slow())["first"], (1, 2))
    tables = (LatencyTable(Slow().eval(), EXAMPLE, LatencyTables()) for _ in range(5))
    # other work that begins or ends beside one of them slows down a part of it only
    table = next((table for table in tables if tells_what_takes_longer(table, options)), None)
    assert table is not None, "five tables in a row do not tell a layer from one of twice the work"
    assert table.dense["idle"] == 0 and table.rest >= 0
    times = table.nanoseconds("first", options)
    assert times.dtype == np.int64 and (times > 0).all()
    assert times[options.ranks == 0] == table.dense["first"]
    # kept: the same times whenever they are asked for
    assert (table.nanoseconds("first", options) == times).all()


def known(path):
    """Slow's times: the first layer gains in one slice only, the second in two too, the last by nothing."""
    network = Slow().eval()
    parts = dense_part({"first": 4_000_000, "second": 8_000_000, "last": 90_000}, rest=1_000_000)
    parts = {"4 layers": parts.pop("3 layers")}
    for name, each in (("first", 8_000), ("second", 16_000)):
        parts |= decomposed_part(network, name, 1, lambda r, each=each: 500_000 + each * r)
    parts |= decomposed_part(network, "first", 2, lambda r: 4_100_000 + 9_000 * r)
    parts |= decomposed_part(network, "second", 2, lambda r: 600_000 + 15_000 * r)
    parts |= decomposed_part(network, "last", 1, lambda r: 95_000)
    return network, written(path / "times.json", network, EXAMPLE, parts)


@pytest.mark.parametrize("options", [{"allocate": "sum", "error": "output"}, {"allocate": "minmax"}])
def test_no_choice_within_the_time_is_better(options, tmp_path):
    network, file = known(tmp_path)
    kwargs = {"example": EXAMPLE, "latency_table": file, "candidate_subspaces": [1, 2], "rank_multiple": 96}
    kwargs |= {"exclude": ["idle"], **options}
    data = torch.randn(40, 768, generator=torch.Generator().manual_seed(8))
    table = LatencyTable(network, EXAMPLE, pruners.LatencyFile(file))
    least = pruners.least_budget(network, "latency_ms", method="calibrated", **kwargs)
    assert table.total == 13_090_000 and 0 < least < 13.09
    assert pruners.least_budget(network, "latency_ratio", method="calibrated", **kwargs) == pytest.approx(
        least / 13.09
    )
    choices = _choices(network, table, data, options)
    for share in (0.0, 0.1, 0.4, 0.7, 1.0):
        asked = least + share * (13.09 - least)
        by_share = pruners.plan(network, "calibrated", latency_ratio=asked / 13.09, data=data, **kwargs)
        plan = pruners.plan(network, "calibrated", latency_ms=asked, data=data, **kwargs)
        # in milliseconds a whole number of nanoseconds is rounded
        assert plan.unit == "nanoseconds" and plan.cost <= plan.budget <= 1e6 * asked * (1 + 1e-12)
        assert abs(by_share.budget - plan.budget) <= 1 and by_share.unit == "nanoseconds"
        assert "last" not in plan.layers and plan.layers.get("first", plan).__dict__.get("num_subspaces") != 2
        found = [choice.error for choice in plan.layers.values()]
        within = [errors for time, errors in choices if time <= plan.budget]
        if options["allocate"] == "sum":
            best = min(sum(e**2 for e in errors) for errors in within)
            assert sum(e**2 for e in found) == pytest.approx(best)
        else:
            assert max(found, default=0.0) == pytest.approx(min(max(errors) for errors in within))
    with pytest.raises(pruners.InfeasibleBudget, match=" ms cannot be met") as caught:
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


def test_what_no_decomposition_makes_faster_stays_dense_and_computes_the_same(tmp_path):
    network, file = known(tmp_path)
    artifact = pruners.compress(
        network, "alds", latency_ratio=0.5, example=EXAMPLE, latency_table=file, candidate_subspaces=[1, 2]
    )
    assert artifact.layers and "last" not in artifact.layers
    small = artifact.apply(network)
    x = torch.randn(3, 768, generator=torch.Generator().manual_seed(0))
    assert torch.equal(small.last(x), network.last(x)) and type(small.last) is nn.Linear
    # with nothing faster, nothing is decomposed
    slower = dense_part({"first": 1000, "second": 1000, "last": 10}, rest=0)
    slower = {"4 layers": slower.pop("3 layers")}
    for name in ("first", "second", "last"):
        slower |= decomposed_part(network, name, 1, lambda r: 1000 + r)
    none = written(tmp_path / "slower.json", network, EXAMPLE, slower)
    same = pruners.compress(network, "alds", latency_ratio=1.0, example=EXAMPLE, latency_table=none)
    # of more subspaces than one nothing stands in the file: they were not measured
    assert not same.layers and torch.equal(same.apply(network)(x), network(x))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4_000_000), min_size=5, max_size=5), st.integers(0, 2**31))
def test_times_between_ranks_are_interpolated_and_never_fall(measured, seed):
    network = Slow().eval()
    part = decomposed_part(network, "first", 1, lambda r: 0)
    (key,) = part
    grid = [int(rank) for rank in part[key]]
    parts = dense_part(dict.fromkeys(("first", "second", "last"), 4_000_000), rest=0)
    parts = {"4 layers": parts.pop("3 layers"), key: dict(zip(part[key], measured, strict=True))}

    class Known(LatencyTables):
        def once(self, of, part, measure):
            return parts[part]

    options = layer_candidates(pruners.compressible(network)["first"], (1,))
    times = LatencyTable(network, EXAMPLE, Known()).nanoseconds("first", options)
    by_rank = dict(zip(options.ranks.tolist(), times.tolist(), strict=True))
    dense = by_rank.pop(0)
    ranks = sorted(by_rank)
    assert dense == 4_000_000 and all(by_rank[a] <= by_rank[b] for a, b in itertools.pairwise(ranks))
    assert [by_rank[rank] for rank in grid] == np.maximum.accumulate(measured).tolist()
    rank = ranks[seed % len(ranks)]
    below, above = max(g for g in grid if g <= rank), min(g for g in grid if g >= rank)
    assert by_rank[below] <= by_rank[rank] <= by_rank[above]


def test_one_table_serves_all_budgets_of_networks_of_one_form(network, batch):
    def digest(model, example):
        return digest_of(timed_on(model, example))

    kept = digest(network, batch)
    assert digest(network, batch.clone()) == kept
    twin = type(network)(*network)
    assert digest(twin, batch) == kept
    assert digest(network, torch.cat([batch, batch])) != kept
    last = digest(network.to(memory_format=torch.channels_last), batch)
    assert last != kept and digest(network.double(), batch.double()) not in (last, kept)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert digest(network.float(), batch) != last
    finally:
        torch.set_num_threads(threads)


def test_a_file_keeps_what_was_measured(network, batch, tmp_path):
    path = tmp_path / "times.json"
    kwargs = {"example": batch, "latency_table": path}
    least = pruners.least_budget(network, "latency_ratio", **kwargs)
    written_once = path.read_bytes()
    assert 0 < least <= 1 and pruners.least_budget(network, "latency_ratio", **kwargs) == least
    assert pruners.plan(network, latency_ratio=1.0, **kwargs).cost > 0
    assert path.read_bytes() == written_once

    def never():
        raise AssertionError("it is measured again")

    file = pruners.LatencyFile(path)
    of = timed_on(network, batch)
    assert file.once(of, f"{len(pruners.compressible(network))} layers", never)["network"] > 0
    assert file.once({"device": "another"}, "part", lambda: {"first": 3}) == {"first": 3}
    assert pruners.LatencyFile(path).once({"device": "another"}, "part", never) == {"first": 3}
    path.write_text("{}")
    with pytest.raises(pruners.BadArtifact, match=r"times\.json is damaged or no file of latency tables"):
        pruners.plan(network, latency_ratio=1.0, **kwargs)


def test_what_a_budget_in_time_needs_is_said(network, batch):
    with pytest.raises(pruners.PrunerError, match=r"latency_ms\) needs example="):
        pruners.compress(network, latency_ms=1.0)
    with torch.device("meta"):
        nowhere = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(pruners.PrunerError, match="on the meta device and has no values"):
        pruners.least_budget(nowhere, "latency_ms", example=batch)
    with pytest.raises(pruners.PrunerError, match="has no weights before it has seen an input"):
        pruners.least_budget(nn.Sequential(nn.LazyLinear(3)), "latency_ratio", example=batch)
    with pytest.raises(pruners.PrunerError, match=r"must be a torch\.nn\.Module"):
        pruners.least_budget("network", "latency_ms", example=batch)
    with pytest.raises(pruners.PrunerError, match="Method svd takes no budget in time"):
        pruners.compress(network, "svd", latency_ms=1000.0, example=batch)
    with pytest.raises(pruners.PrunerError, match="not of milliseconds"):
        pruners.compress(network, "magnitude", latency_ms=1.0)
    with pytest.raises(pruners.PrunerError, match="not its shapes"):
        pruners.least_budget(pruners.NetworkShape(network), "latency_ms", example=batch)
    with pytest.raises(pruners.PrunerError, match="latency_ms must be a positive number"):
        pruners.compress(network, latency_ms=-1.0, example=batch)
    with pytest.raises(pruners.PrunerError, match="latency_ratio must lie"):
        pruners.compress(network, latency_ratio=1.5, example=batch)


class Asks(nn.Module):
    """Notes whether attention may use its fused kernels, as it may when the network is used."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.fused = nn.Linear(4, 4), []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.fused.append(torch.backends.cuda.flash_sdp_enabled())
        return self.layer(x)


def test_attention_is_timed_by_the_kernels_that_it_is_used_with():
    network = Asks().eval()
    assert LatencyTable(network, torch.ones(2, 4), LatencyTables()).network > 0
    assert all(network.fused)


class EachAlone(nn.Module):
    """Its convolution is given one image at a time, without a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.conv(image) for image in x])


def test_a_convolution_of_images_without_a_batch_is_timed():
    network = EachAlone().eval()
    options = layer_candidates(pruners.compressible(network)["conv"], (1,))
    table = LatencyTable(network, torch.ones(2, 8, 4, 4), LatencyTables())
    assert (table.nanoseconds("conv", options) > 0).all()


def test_what_another_machine_wrote_meanwhile_stays(tmp_path):
    path = tmp_path / "times.json"
    theirs = {"of": {}, "parts": {"part": {"first": 1}}}

    def measure():
        path.write_text(json.dumps({"format": 1, "tables": {"theirs": theirs}}))
        return {"first": 2}

    assert pruners.LatencyFile(path).once({"device": "ours"}, "part", measure) == {"first": 2}
    tables = json.loads(path.read_text())["tables"]
    assert tables["theirs"] == theirs and len(tables) == 2


def test_processors_of_arm_are_told_apart(tmp_path, monkeypatch):
    names = set()
    for part in ("0xd0c", "0xd40"):
        file = tmp_path / part
        file.write_text(f"processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\nprocessor\t: 1\n")
        monkeypatch.setattr("pruners.latency.timed_on._CPUS", file)
        names.add(device_name(torch.device("cpu")))
    assert len(names) == 2
    file.write_text("processor\t: 0\nmodel name\t: A fast one: 2\n\nprocessor\t: 1\nmodel name\t: Another\n")
    assert device_name(torch.device("cpu")) == "A fast one: 2"
