"""One price of cost for all layers: compared with every combination at every price that matters."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pruners
from pruners.allocation.lagrangian import lagrangian

Layers = list[tuple[list[int], list[int]]]
OPTION = st.tuples(st.integers(0, 12), st.integers(0, 12))
LAYER = st.lists(OPTION, min_size=1, max_size=5).map(lambda o: ([c for c, _ in o], [e for _, e in o]))


def combinations(layers: Layers) -> list[tuple[int, int]]:
    """Cost and error of every combination."""
    pairs = [list(zip(costs, errors, strict=True)) for costs, errors in layers]
    return [(sum(c for c, _ in one), sum(e for _, e in one)) for one in itertools.product(*pairs)]


def expected(layers: Layers, budget: int) -> tuple[int, int, Fraction]:
    """The cheapest minimiser of error + price * cost at the least price at which it is within the budget.

    Minimisers change where two options of a layer are equally good; a price above all of these is the last.
    """
    prices = {Fraction(0), Fraction(1000)}
    for costs, errors in layers:
        for (c, e), (d, f) in itertools.permutations(zip(costs, errors, strict=True), 2):
            if c < d and e > f:
                prices.add(Fraction(e - f, d - c))
    every = combinations(layers)
    for price in sorted(prices):
        cost, error = min(every, key=lambda one: (one[1] + price * one[0], one[0]))
        if cost <= budget:
            return cost, error, price
    raise AssertionError("not even the cheapest are within the budget")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(layers=st.lists(LAYER, min_size=1, max_size=4), share=st.floats(0, 1.1))
def test_the_minimum_at_the_least_price_within_the_budget(layers: Layers, share: float) -> None:
    every = combinations(layers)
    budget = int(share * max(cost for cost, _ in every))
    costs, errors = [c for c, _ in layers], [e for _, e in layers]
    if (least := min(cost for cost, _ in every)) > budget:
        with pytest.raises(pruners.InfeasibleBudget) as caught:
            lagrangian(costs, errors, budget)
        assert caught.value.least == least
        return
    picks = lagrangian(costs, errors, budget)
    cost = sum(c[i] for c, i in zip(costs, picks, strict=True))
    error = sum(e[i] for e, i in zip(errors, picks, strict=True))
    assert (cost, error) == expected(layers, budget)[:2]
    assert error == min(e for c, e in every if c <= cost)


def test_what_layers_are_given_is_checked() -> None:
    with pytest.raises(pruners.PrunerError, match="Layer 1 has 2 costs and 1 errors"):
        lagrangian([[1], [1, 2]], [[0.0], [0.0]], 5)
