"""Which layers keep how much, and what cannot be kept."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.testing.sparse.network import WEIGHTS, OddNetwork

pytestmark = pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")
ALLOCATIONS = ("global", "layerwise", "erk")


@st.composite
def networks(draw):
    sides = [
        draw(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3)))
        for _ in range(draw(st.integers(1, 4)))
    ]
    torch.manual_seed(0)
    return nn.ModuleList(nn.Conv2d(a, b, size) if size else nn.Linear(a, b) for a, b, size in sides)


@given(networks(), st.integers(1, 1000), st.integers(0, 3), st.sampled_from(ALLOCATIONS), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_totals_are_exact_and_no_layer_keeps_too_little(model, thousandths, least, allocation, rounds):
    ratio, layers = thousandths / 1000, pruners.prunable(model).values()
    count = math.ceil(Fraction(str(ratio)) * sum(layer.params for layer in layers))
    needed = sum(min(least, layer.params) for layer in layers)
    options = {"allocation": allocation, "min_layer_keep": least, "rounds": rounds}
    if needed > count:
        with pytest.raises(pruners.InfeasibleBudget, match="min_layer_keep") as caught:
            pruners.compress(model, "random", keep_ratio=ratio, **options)
        ratio, count = caught.value.least, needed
    mask = pruners.compress(model, "random", keep_ratio=ratio, **options)
    assert mask.params == count
    assert all(layer.params >= min(least, layer.dense_params) for layer in mask.layers.values())


def test_layerwise_densities_differ_by_rounding_alone():
    mask = pruners.compress(OddNetwork(), "magnitude", keep_ratio=0.37, allocation="layerwise")
    assert mask.params == math.ceil(0.37 * WEIGHTS)
    assert all(
        abs(layer.params - mask.params / WEIGHTS * layer.dense_params) < 1 for layer in mask.layers.values()
    )


def test_erk_by_hand():
    """Densities in proportion to (sum of sides) / (product of sides).

    The last layer is full, the others share what it cannot take.
    """
    model = nn.ModuleList([nn.Conv2d(8, 16, 3), nn.Linear(30, 20), nn.Linear(4, 2)])
    mask = pruners.compress(model, "magnitude", budget=324, allocation="erk")
    assert [layer.params for layer in mask.layers.values()] == [
        119,
        197,
        8,
    ]  # 118.5 and 197.5, the earlier wins


def test_a_full_layer_of_a_mask_leaves_its_share_to_others():
    model = nn.ModuleList([nn.Linear(10, 10), nn.Linear(10, 10), nn.Linear(10, 10)])
    before = pruners.compress(model, "magnitude", keep_ratio=1.0, layer_keep_ratio={"0": 0.1})
    mask = pruners.compress(model, "magnitude", budget=110, allocation="layerwise", mask=before)
    assert [layer.params for layer in mask.layers.values()] == [10, 50, 50]


def test_kinds_of_layers_and_names_before_kinds():
    model = nn.ModuleDict(
        {"conv": nn.Conv2d(5, 4, 1), "a": nn.Linear(10, 10), "b": nn.Linear(10, 10), "c": nn.Linear(10, 10)}
    )
    shares = {"linear": 0.5, "output": 0.3, "b": 0.2}
    mask = pruners.compress(model, "magnitude", keep_ratio=0.1, layer_keep_ratio=shares)
    assert {name: layer.params for name, layer in mask.layers.items()} == {
        "conv": 2,
        "a": 50,
        "b": 20,
        "c": 30,
    }
    mask = pruners.compress(model, "magnitude", budget=113, layer_keep_ratio=shares)
    assert mask.layers["conv"].params == 13 and mask.params == 113
    mask = pruners.compress(
        model, "magnitude", keep_ratio=0.5, layer_keep_ratio={"output": 0.01}, min_layer_keep=4
    )
    assert mask.layers["c"].params == 4 and mask.params == 4 + 110


REFUSED = {
    "no budget": ({}, "exactly one of keep_ratio and budget"),
    "two budgets": ({"keep_ratio": 0.5, "budget": 100}, "exactly one of keep_ratio and budget"),
    "multiply-adds": ({"flops_ratio": 0.5}, "not of multiply-adds: give keep_ratio or budget"),
    "share of nothing": ({"keep_ratio": 0.0}, "keep_ratio must lie above 0"),
    "half a weight": ({"budget": 10.5}, "whole number of weights"),
    "more than all": ({"budget": WEIGHTS + 1}, "only 873 are left"),
    "less than shares": (
        {"budget": 3, "layer_keep_ratio": {"output": 0.5}},
        "layer_keep_ratio alone keeps more.*least possible budget is 15",
    ),
    "allocation": ({"keep_ratio": 0.5, "allocation": "layerwize"}, "did you mean 'layerwise'"),
    "schedule": ({"keep_ratio": 0.5, "schedule": "cubic"}, "known are linear, exponential"),
    "rounds": ({"keep_ratio": 0.5, "rounds": 0}, "rounds must be a whole number of at least 1"),
    "min_layer_keep": (
        {"keep_ratio": 0.5, "min_layer_keep": -1},
        "min_layer_keep must be a whole number of at least 0",
    ),
    "invert": ({"keep_ratio": 0.5, "invert": "yes"}, "invert must be true or false"),
    "exclude": ({"keep_ratio": 0.5, "exclude": "output"}, "exclude takes a list of layer names"),
    "exclude a number": ({"keep_ratio": 0.5, "exclude": 3}, "exclude takes a list of layer names"),
    "everything excluded": (
        {"keep_ratio": 0.5, "exclude": list(pruners.prunable(OddNetwork()))},
        "no convolution and no Linear outside of exclude",
    ),
    "shares of nothing": ({"keep_ratio": 0.5, "layer_keep_ratio": 0.5}, "layer_keep_ratio maps layers"),
    "shares of no layer": (
        {"keep_ratio": 0.5, "layer_keep_ratio": {"outputs": 0.5}},
        "did you mean 'output'",
    ),
    "share above one": (
        {"keep_ratio": 0.5, "layer_keep_ratio": {"output": 2}},
        "layer_keep_ratio of 'output' must lie above 0",
    ),
    "a tensor": (
        {"keep_ratio": 0.5, "layer_keep_ratio": {"output": torch.ones(1)}},
        r"layer_keep_ratio of 'output' .* not tensor\(\[1\.\]\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    arguments, message = REFUSED[name]
    with pytest.raises(pruners.PrunerError, match=message) as caught:
        pruners.compress(OddNetwork(), "magnitude", **arguments)
    assert "\n" not in str(caught.value)


def test_a_kind_that_no_layer_is_of():
    with pytest.raises(pruners.UnknownLayer, match="no conv layer; its kinds are linear, output"):
        pruners.compress(
            nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)),
            "magnitude",
            keep_ratio=0.5,
            layer_keep_ratio={"conv": 0.5},
        )
