"""Ranks in multiples: still the best choice there is, by trying all, and never over the budget."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners

METHODS = [
    name
    for name, method in pruners.methods().items()
    if method.kind == "decomposition" and any(option.name == "rank_multiple" for option in method.options)
]


@st.composite
def networks(draw):
    made = []
    for _ in range(draw(st.integers(2, 3))):
        if draw(st.booleans()):
            layer = nn.Linear(draw(st.sampled_from([4, 8, 12])), draw(st.integers(3, 12)))
        else:
            groups = draw(st.sampled_from([1, 2]))
            layer = nn.Conv2d(
                groups * draw(st.sampled_from([2, 4])),
                groups * draw(st.integers(2, 8)),
                (2, 1),
                groups=groups,
            )
        nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(draw(st.integers(0, 10**6))))
        made.append(layer)
    return nn.ModuleList(made)


def allowed(options, multiple):
    """What is left of a layer's options.

    Multiples and dense, or all of them where it is too small for one.
    """
    rounded = [option for option in options if option[0] % multiple == 0]
    return rounded if any(rank for rank, *_ in rounded) else options


@pytest.mark.parametrize("metric", ["max", "true", "frobenius"])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(network=networks(), multiple=st.integers(2, 4), share=st.floats(0.4, 1.0))
def test_alds_finds_the_best_combination(reference, network, metric, multiple, share):
    limit = int(share * sum(layer.weight.numel() for layer in network))
    options = [allowed(reference.options(layer), multiple) for layer in network]
    combos = [c for c in itertools.product(*options) if sum(option[2] for option in c) <= limit]
    if not combos:
        with pytest.raises(pruners.InfeasibleBudget):
            pruners.plan(network, budget=limit, metric=metric, rank_multiple=multiple)
        return
    expected = min(sorted((option[3][metric] for option in c), reverse=True) for c in combos)
    plan = pruners.plan(network, budget=limit, metric=metric, rank_multiple=multiple)
    found = sorted(
        (plan.layers[n].error if n in plan.layers else 0.0 for n in pruners.compressible(network)),
        reverse=True,
    )
    assert found == pytest.approx(expected, abs=2e-8)
    assert plan.cost <= limit
    for number, possible in enumerate(options):
        layer = plan.layers.get(str(number))
        assert (layer.rank, layer.num_subspaces) in {option[:2] for option in possible} if layer else True


def svd_ranks(layer, reference):
    """Rank at a share of the full rank."""
    most = min(reference.folded(layer)[0].shape)
    return lambda share: max(1, int(share * most))


def energy_ranks(layer, reference):
    """The smallest rank that holds a share of the squared singular values."""
    held = np.cumsum(sum(np.linalg.svd(matrix, compute_uv=False) ** 2 for matrix in reference.folded(layer)))
    return lambda share: int(np.argmax(held / held[-1] >= float(share) - 1e-12)) + 1


@pytest.mark.parametrize(
    "method, ranks_of, up", [("svd", svd_ranks, False), ("svd_energy", energy_ranks, True)]
)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(network=networks(), multiple=st.integers(2, 4), share=st.floats(0.4, 1.0))
def test_a_common_share_is_the_largest_that_fits(reference, method, ranks_of, up, network, multiple, share):
    limit = int(share * sum(layer.weight.numel() for layer in network))
    if limit < pruners.least_budget(network, "budget", method=method, rank_multiple=multiple):
        return
    # by layer: parameters of each rank that saves, and the rank at any share
    params = [
        {rank: size for rank, number, size, _ in reference.options(layer) if number == 1} for layer in network
    ]
    rank_at = [ranks_of(layer, reference) for layer in network]

    def ranks(at):
        chosen = [rank(at) for rank in rank_at]
        for n, saving in enumerate(params):
            if multiple <= max(saving, default=0):
                chosen[n] = multiple * (-(-chosen[n] // multiple) if up else max(1, chosen[n] // multiple))
        return {str(n): rank for n, rank in enumerate(chosen) if rank in params[n]}

    def cost(chosen):
        return sum(
            params[n][chosen[str(n)]] if str(n) in chosen else layer.weight.numel()
            for n, layer in enumerate(network)
        )

    found = {
        name: layer.rank
        for name, layer in pruners.plan(network, method, budget=limit, rank_multiple=multiple).layers.items()
    }
    # shares between the thousandths may still be better
    assert (
        limit
        >= cost(found)
        >= max(c for at in range(1001) if (c := cost(ranks(Fraction(at, 1000)))) <= limit)
    )
    assert all(rank % multiple == 0 or multiple > max(params[int(n)]) for n, rank in found.items())


@pytest.mark.parametrize("method", METHODS)
def test_rounding_keeps_budgets_and_pins(method, network, batch):
    needed = {"data": [batch]} if "data" in pruners.methods()[method].needs else {}
    shapes = pruners.compressible(network)
    least = pruners.least_budget(network, method=method, rank_multiple=8)
    assert least > pruners.least_budget(network, method=method)
    for ratio in (least, 0.5, 0.8):
        artifact = pruners.compress(network, method, keep_ratio=ratio, rank_multiple=8, **needed)
        assert artifact.params <= artifact.budget and artifact.layers
        for name, layer in artifact.layers.items():
            assert (
                layer.rank % 8 == 0
                or max(map(shapes[name].largest_saving_rank, shapes[name].candidate_subspaces)) < 8
            )
    plan = pruners.plan(network, method, keep_ratio=0.5, **needed)
    assert pruners.plan(network, method, keep_ratio=0.5, rank_multiple=1, **needed) == plan


def test_a_pinned_rank_is_not_rounded(network):
    plan = pruners.plan(
        network, keep_ratio=0.6, rank_multiple=8, layers={"7": {"rank": 3, "num_subspaces": 1}}
    )
    assert plan.layers["7"].rank == 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0, -8, 2.5, "8", None, True])
def test_what_is_no_multiple(method, value, network, batch):
    needed = {"data": [batch]} if "data" in pruners.methods()[method].needs else {}
    with pytest.raises(pruners.PrunerError, match="rank_multiple must be a whole number"):
        pruners.plan(network, method, keep_ratio=0.5, rank_multiple=value, **needed)
