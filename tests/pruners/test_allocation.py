"""The allocation is exact.

Compared with every combination of every rank and num_subspaces of small networks.
"""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.allocation.minmax import minmax

METRICS = ("max", "thm1", "sum", "true", "frobenius")


@st.composite
def layers(draw):
    if draw(st.booleans()):
        layer = nn.Linear(draw(st.sampled_from([4, 6, 8])), draw(st.integers(2, 7)))
    else:
        groups = draw(st.sampled_from([1, 1, 2]))
        kernel = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
        layer = nn.Conv2d(
            groups * draw(st.sampled_from([2, 3, 4])), groups * draw(st.integers(2, 4)), kernel, groups=groups
        )
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(draw(st.integers(0, 10**6))))
    return layer


@pytest.mark.parametrize("kind", ["keep_ratio", "budget", "flops_ratio"])
@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(nets=st.lists(layers(), min_size=2, max_size=3), share=st.floats(0.3, 1.0), size=st.integers(2, 4))
def test_no_combination_is_better(reference, metric, kind, nets, share, size):
    network = reference.Branches(nets, [size + n for n in range(len(nets))])
    example = torch.ones(2, 1)
    shape = pruners.NetworkShape(network, example)
    unit = "multiply_adds" if kind == "flops_ratio" else "parameters"
    unit_costs = [
        out[0, 0].numel() if out.dim() == 4 else out[..., 0].numel() // 2 for out in network(example)
    ]
    unit_costs = [2 * c for c in unit_costs] if kind == "flops_ratio" else [1] * len(nets)
    total = sum(layer.weight.numel() * cost for layer, cost in zip(nets, unit_costs, strict=True))
    assert shape.total(unit) == total
    asked = max(1, int(share * total)) if kind == "budget" else share
    limit = asked if kind == "budget" else int(share * total)
    expected = reference.best(nets, unit_costs, limit, metric)
    if expected is None:
        with pytest.raises(pruners.InfeasibleBudget) as caught:
            pruners.plan(network, metric=metric, example=example, **{kind: asked})
        assert (
            pruners.plan(network, metric=metric, example=example, **{kind: caught.value.least}).cost > limit
        )
        return
    plan = pruners.plan(network, metric=metric, example=example, **{kind: asked})
    found = sorted((plan.layers[n].error if n in plan.layers else 0.0 for n in shape.layers), reverse=True)
    assert found == pytest.approx(expected, abs=2e-8)
    assert plan.cost <= plan.budget == limit


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data(), number=st.integers(1, 4))
def test_allocate_against_all_combinations(data, number):
    costs, errors = [], []
    for _ in range(number):
        length = data.draw(st.integers(1, 5))
        costs.append(np.cumsum([data.draw(st.integers(1, 9)) for _ in range(length)]))
        errors.append(
            np.sort(data.draw(st.lists(st.floats(0, 9), min_size=length, max_size=length, unique=True)))[::-1]
        )
    everything = sorted({e for array in errors for e in array.tolist()})
    if len(everything) < sum(map(len, errors)):
        return  # equal errors have no single order
    budget = data.draw(st.integers(sum(int(c[0]) for c in costs), sum(int(c[-1]) for c in costs) + 1))
    picks = minmax(costs, errors, budget)

    def told(combo):
        return sorted((float(e[i]) for e, i in zip(errors, combo, strict=True)), reverse=True)

    combos = itertools.product(*(range(len(c)) for c in costs))
    allowed = [
        combo for combo in combos if sum(int(c[i]) for c, i in zip(costs, combo, strict=True)) <= budget
    ]
    assert told(picks) == min(told(combo) for combo in allowed)


def test_equal_layers_are_served_in_order():
    cost, error = np.array([1, 3]), np.array([1.0, 0.5])
    assert minmax([cost, cost, cost], [error, error, error], 6) == [1, 0, 0]


def test_a_dear_step_does_not_stop_cheaper_layers():
    picks = minmax(
        [np.array([1, 100]), np.array([1, 2, 3])], [np.array([0.9, 0.0]), np.array([0.8, 0.4, 0.1])], 5
    )
    assert picks == [0, 2]


def test_tolerance_bends_the_errors(network):
    plain = pruners.plan(network, keep_ratio=0.3)
    strict = pruners.plan(network, keep_ratio=0.3, tolerance={"7": 0.25})
    assert strict.layers["7"].error < plain.layers["7"].error
    assert strict.params <= strict.budget
    ones = pruners.plan(network, keep_ratio=0.3, tolerance=dict.fromkeys(pruners.compressible(network), 1.0))
    assert ones == plain


@settings(max_examples=15, deadline=None, derandomize=True)
@given(nets=st.lists(layers(), min_size=2, max_size=2), share=st.floats(0.5, 1.0), factor=st.floats(0.25, 4))
def test_tolerance_minimises_the_scaled_error(reference, nets, share, factor):
    network = nn.ModuleList(nets)
    options = [reference.options(layer) for layer in nets]
    limit = int(share * sum(layer.weight.numel() for layer in nets))
    scaled = [
        [(o[2], o[3]["max"] / (factor if n == 0 else 1.0)) for o in layer] for n, layer in enumerate(options)
    ]
    allowed = [max(a[1], b[1]) for a, b in itertools.product(*scaled) if a[0] + b[0] <= limit]
    if not allowed:
        return
    plan = pruners.plan(network, budget=limit, tolerance={"0": factor})
    found = max(
        plan.layers[n].error / (factor if n == "0" else 1.0) if n in plan.layers else 0.0 for n in ("0", "1")
    )
    assert found == pytest.approx(min(allowed), abs=1e-9)


def test_restricted_subspaces_and_bounds(network):
    plan = pruners.plan(network, keep_ratio=0.4, candidate_subspaces=[2, 3])
    assert {layer.num_subspaces for layer in plan.layers.values()} <= {2, 3}
    shapes = pruners.compressible(network)
    bounded = pruners.plan(
        network, keep_ratio=0.4, bounds={"0": {"min_density": 1.0}, "7": {"max_density": 0.1}}
    )
    assert "0" not in bounded.layers
    assert bounded.layers["7"].params <= 0.1 * shapes["7"].params


def test_pinned_and_excluded_layers(network):
    plan = pruners.plan(network, keep_ratio=0.5, layers={"7": {"rank": 3, "num_subspaces": 4}}, exclude=["0"])
    assert (plan.layers["7"].rank, plan.layers["7"].num_subspaces) == (3, 4)
    assert "0" not in plan.layers
    useless = pruners.plan(network, keep_ratio=1.0, layers={"9": {"rank": 10, "num_subspaces": 1}})
    assert "9" not in useless.layers


def test_same_answer_in_any_order_of_budgets(network):
    fresh = [pruners.plan(pruners.Spectra(network), keep_ratio=r, metric="true") for r in (0.2, 0.5, 0.8)]
    spectra = pruners.Spectra(network)
    assert [pruners.plan(spectra, keep_ratio=r, metric="true") for r in (0.8, 0.2, 0.5)] == [
        fresh[2],
        fresh[0],
        fresh[1],
    ]


@pytest.mark.parametrize("metric", METRICS)
def test_a_layer_of_zeros_keeps_rank_one(network, metric):
    network[7].weight.data.zero_()
    layer = pruners.plan(network, keep_ratio=0.4, metric=metric).layers["7"]
    assert (layer.rank, layer.num_subspaces, layer.error) == (1, 1, 0.0)
