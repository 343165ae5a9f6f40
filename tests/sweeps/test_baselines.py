"""The methods that a study runs for comparison."""

from typing import Any

import pytest

from sweeps import Sweep
from sweeps.search.prepare import prepare

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
        ({"compression": {}, "parameters": {"compression.method": {"value": "alds"}}}, ("alds",)),
        ({"parameters": {"compression.method": {"values": ["svd", "alds"]}}}, ("svd", "alds")),
        ({"per_layer": {"tolerance": {"min": 0.5, "max": 2}}}, ()),
    ],
)
def test_where_ranks_are_searched_each_method_runs_as_it_is_too(
    changed: dict[str, Any], baselines: tuple[str, ...]
) -> None:
    assert prepare(Sweep.from_data(RANKS | changed)).baselines == baselines
