"""Budgets: exact counting, and what follows from shapes alone."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.lowrank.layers.budget import floor_of_share, least_share_allowing


@pytest.mark.parametrize(
    ("share", "total", "kept"),
    [(0.1, 30, 3), (0.29, 100, 29), (0.7, 10, 7), (0.57, 100, 57), (1.0, 7, 7), (0.3333, 3, 0)],
)
def test_no_surprise_of_floating_point(share, total, kept):
    assert floor_of_share(share, total) == kept


@settings(max_examples=300, deadline=None, derandomize=True)
@given(total=st.integers(1, 10**12), data=st.data())
def test_least_share_is_enough_and_least(total, data):
    cost = data.draw(st.integers(0, total))
    share = least_share_allowing(cost, total)
    assert floor_of_share(share, total) >= cost
    assert share <= cost / total * (1 + 1e-12)


@pytest.mark.parametrize(
    ("given_budget", "message"),
    [
        ({}, "exactly one"),
        ({"keep_ratio": 0.5, "budget": 10}, "keep_ratio and budget"),
        ({"keep_ratio": 0.0}, "keep_ratio must lie"),
        ({"keep_ratio": 1.5}, "keep_ratio must lie"),
        ({"keep_ratio": float("nan")}, "keep_ratio must lie"),
        ({"budget": 0}, "whole number"),
        ({"budget": 10.5}, "whole number"),
        ({"flops_ratio": 0.5}, "needs example"),
    ],
)
def test_bad_budgets(network, given_budget, message):
    with pytest.raises(pruners.PrunerError, match=message):
        pruners.plan(network, **given_budget)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "maximum"}, "metric 'maximum' is unknown"),
        ({"candidate_subspaces": []}, "candidate_subspaces"),
        ({"candidate_subspaces": [0]}, "candidate_subspaces"),
        ({"tolerance": {"7": 0.0}}, "tolerance of layer '7'"),
        ({"tolerance": {"77": 1.0}}, "no compressible layer '77'"),
        ({"tolerance": 2.0}, "tolerance maps layer names"),
        ({"layers": {"7": {"rank": 1}}}, "layer '7' takes rank and num_subspaces"),
        ({"layers": {"7": {"rank": 0, "num_subspaces": 1}}}, "rank in layers of layer '7'"),
        ({"layers": {"7": {"rank": 1, "num_subspaces": 5}}}, "must divide its 192 input channels"),
        ({"layers": {"7": {"rank": 1, "num_subspaces": 1}}, "exclude": ["7"]}, "both excluded and set"),
        ({"bounds": {"7": {"max_rank": 3}}}, "takes min_density and max_density"),
        ({"bounds": {"7": {"min_density": 0.9, "max_density": 0.1}}}, "min_density <= max_density"),
        ({"bounds": {"7": {"max_density": 0.001}}}, "no choice"),
        ({"exclude": "7"}, "list of layer names"),
    ],
)
def test_bad_options(network, options, message):
    with pytest.raises(pruners.PrunerError, match=message):
        pruners.plan(network, keep_ratio=0.5, **options)


def test_infeasible_budget_travels_between_processes(network):
    with pytest.raises(pruners.InfeasibleBudget) as caught:
        pruners.plan(network, budget=1)
    # a copy goes the way that Ray's serializer goes
    again = copy.copy(caught.value)
    assert (str(again), again.least) == (str(caught.value), caught.value.least)


def test_shapes_alone_will_do(network, batch):
    with torch.device("meta"):
        bare = nn.Sequential(*(nn.Conv2d(4, 12, 3, padding=1), nn.Flatten(), nn.Linear(768, 30)))
    shapes = pruners.compressible(bare)
    assert [s.params for s in shapes.values()] == [432, 23040]
    pins = {"0": {"rank": 2, "num_subspaces": 2}, "2": {"rank": 3, "num_subspaces": 4}}
    expected = 2 * (12 * 2 + 36) + 3 * (30 * 4 + 768)
    assert pruners.budget_of(bare, pins, "budget") == expected
    assert pruners.least_budget(bare, "budget", layers=pins) == expected
    assert pruners.least_budget(bare, "budget") == 12 + 36 + 30 + 768
    in_flops = pruners.budget_of(bare, pins, "flops_ratio", example=torch.empty(1, 4, 8, 8, device="meta"))
    assert in_flops == pytest.approx((64 * 120 + 2664) / (64 * 432 + 23040))


def test_budget_of_is_what_compressing_costs(network, batch):
    shape = pruners.NetworkShape(network, batch)
    plan = pruners.plan(network, keep_ratio=0.3)
    pins = {name: {"rank": c.rank, "num_subspaces": c.num_subspaces} for name, c in plan.layers.items()}
    assert pruners.budget_of(shape, pins, "budget") == plan.params
    again = pruners.plan(network, keep_ratio=pruners.budget_of(shape, pins), layers=pins)
    assert again.layers.items() >= plan.layers.items()
    in_flops = pruners.budget_of(shape, pins, "flops_ratio")
    assert (
        pruners.compress(
            network, flops_ratio=in_flops, example=batch, layers=pins, exclude=set(shape.layers) - set(pins)
        ).layers
        == plan.layers
    )


def test_layers_that_do_not_run_cost_no_multiply_adds(batch):
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            return self.used(self.used(x))

    shape = pruners.NetworkShape(Half(), batch)
    assert shape.total("multiply_adds") == 2 * 64 * 64
    assert pruners.plan(Half(), flops_ratio=0.6, example=batch).layers.keys() == {"used"}


def test_spectra_that_outlived_their_network(network, batch):
    spectra = pruners.Spectra(nn.Sequential(*network))
    assert pruners.plan(spectra, keep_ratio=0.5) == pruners.plan(network, keep_ratio=0.5)
    with pytest.raises(pruners.PrunerError, match="outlived"):
        pruners.plan(spectra, flops_ratio=0.5, example=batch)
