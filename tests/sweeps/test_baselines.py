"""The methods that a study runs for comparison."""

from pathlib import Path
from typing import Any

import pytest

from sweeps import Sweep
from sweeps.errors import SweepError
from sweeps.search.prepare import prepare
from tests.sweeps.studies import digits, run

FROBENIUS: dict[str, Any] = {
    "method": "alds",
    "name": "alds_by_frobenius",
    "options": {"metric": "frobenius"},
}

RANKS: dict[str, Any] = {
    "name": "ranks",
    "task": {"network": "lenet_300_100", "data": "digits"},
    "training": {"epochs": 1},
    "compression": {"method": "alds"},
    "budget": {"keep_ratio": 0.25},
    "per_layer": {"rank": {"min": 1}},
    "method": "random",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "run_cap": 2,
}


@pytest.mark.parametrize(
    ("changed", "baselines"),
    [
        ({}, ("alds",)),
        ({"baselines": ["svd"]}, ("alds", "svd")),
        ({"baselines": ["svd", "alds"]}, ("svd", "alds")),
        ({"baselines": [FROBENIUS]}, ("alds", "alds_by_frobenius")),
        ({"baselines": [{"method": "alds", "name": "own"}]}, ("own",)),
        ({"compression": {}, "parameters": {"compression.method": {"value": "alds"}}}, ("alds",)),
        ({"parameters": {"compression.method": {"values": ["calibrated", "alds"]}}}, ("calibrated", "alds")),
        ({"per_layer": {"tolerance": {"min": 0.5, "max": 2}}}, ()),
    ],
)
def test_where_ranks_are_searched_each_method_runs_as_it_is_too(
    changed: dict[str, Any], baselines: tuple[str, ...]
) -> None:
    assert tuple(b.name for b in prepare(Sweep.from_data(RANKS | changed)).baselines) == baselines


def test_a_baseline_has_its_own_options_and_the_sweep_s_where_the_method_is_the_sweep_s() -> None:
    compression = {"method": "alds", "options": {"exclude": ["5"], "metric": "max"}}
    options: dict[str, Any] = {"rank_multiple": 4}
    other = {"method": "svd", "name": "svd_by_fours", "options": options}
    prepared = prepare(Sweep.from_data(RANKS | {"compression": compression, "baselines": [FROBENIUS, other]}))
    own, frobenius, svd = map(prepared.baseline_sections, prepared.baselines)
    assert own.compression.options == {"exclude": ["5"], "metric": "max"}
    assert frobenius.compression.options == {"exclude": ["5"], "metric": "frobenius"}
    assert (svd.compression.method, svd.compression.options) == ("svd", options)


def test_two_baselines_of_one_method_are_known_by_their_names(tmp_path: Path) -> None:
    record = run(digits(baselines=["alds", FROBENIUS], run_cap=1), tmp_path / "s")
    own, frobenius = record.baselines
    assert (own.key, frobenius.key) == ("baseline-alds", "baseline-alds_by_frobenius")
    assert record.own == own
    assert frobenius.params == {"compression.method": "alds", "compression.options.metric": "frobenius"}
    errors = [baseline.metrics["compress/error"] for baseline in record.baselines]
    assert errors[0] != errors[1]  # another norm of the same residues
    assert "alds_by_frobenius" in (tmp_path / "s" / "report.html").read_text()

    changed = FROBENIUS | {"options": {"metric": "sum"}}
    with pytest.raises(SweepError, match=r'the baseline "alds_by_frobenius" has run with another method'):
        run(digits(baselines=["alds", changed], run_cap=1), tmp_path / "s")
    renamed = changed | {"name": "alds_by_sum"}
    again = run(digits(baselines=["alds", FROBENIUS, renamed], run_cap=1), tmp_path / "s")
    assert [b.key for b in again.baselines][1:] == ["baseline-alds_by_frobenius", "baseline-alds_by_sum"]
