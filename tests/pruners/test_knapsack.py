"""The knapsack is exact: compared with every combination, ties included."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pruners
from pruners.allocation.knapsack import knapsack

Layers = list[tuple[list[int], list[float]]]


def options(errors: st.SearchStrategy[float], most: int) -> st.SearchStrategy[Layers]:
    option = st.tuples(st.integers(0, most), errors)
    layer = st.lists(option, min_size=1, max_size=5).map(lambda o: ([c for c, _ in o], [e for _, e in o]))
    return st.lists(layer, min_size=1, max_size=5)


def combinations(layers: Layers) -> list[tuple[Fraction, int, tuple[int, ...], tuple[int, ...]]]:
    """Exact error, cost, and each layer's cost and index, of every combination."""
    found = []
    for picks in itertools.product(*[range(len(costs)) for costs, _ in layers]):
        chosen = [(costs[i], errors[i]) for (costs, errors), i in zip(layers, picks, strict=True)]
        error = sum((Fraction(e) for _, e in chosen), Fraction())
        found.append((error, sum(c for c, _ in chosen), tuple(c for c, _ in chosen), picks))
    return found


# few different values: ties, equal options, zero errors and zero costs all over
@settings(max_examples=150, deadline=None, derandomize=True)
@given(layers=options(st.integers(0, 4).map(float), 4), share=st.floats(0, 1.1))
def test_of_equal_sums_the_cheapest_with_the_earliest_cheaper_option(layers: Layers, share: float) -> None:
    every = combinations(layers)
    budget = int(share * max(cost for _, cost, _, _ in every))
    expected = min((one for one in every if one[1] <= budget), default=None)
    costs, errors = [c for c, _ in layers], [e for _, e in layers]
    if expected is None:
        with pytest.raises(pruners.InfeasibleBudget) as caught:
            knapsack(costs, errors, budget)
        assert caught.value.least == min(cost for _, cost, _, _ in every) > budget
    else:
        assert knapsack(costs, errors, budget) == list(expected[3])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(layers=options(st.floats(0, 1), 3 * 10**12), share=st.floats(0, 1))
def test_no_combination_is_better(layers: Layers, share: float) -> None:
    every = combinations(layers)
    least, most = min(cost for _, cost, _, _ in every), max(cost for _, cost, _, _ in every)
    budget = least + int(share * (most - least))
    picks = knapsack([c for c, _ in layers], [e for _, e in layers], budget)
    cost = sum(costs[i] for (costs, _), i in zip(layers, picks, strict=True))
    error = sum(Fraction(errors[i]) for (_, errors), i in zip(layers, picks, strict=True))
    assert cost <= budget
    assert float(error - min(e for e, c, _, _ in every if c <= budget)) <= 1e-12


def by_units(costs: list[np.ndarray], errors: list[np.ndarray], budget: int) -> float:
    """The plain dynamic programme over every amount of budget."""
    best = np.zeros(budget + 1)
    for cost, error in zip(costs, errors, strict=True):
        following = np.full(budget + 1, np.inf)
        for c, e in zip(cost.tolist(), error.tolist(), strict=True):
            if c <= budget:
                following[c:] = np.minimum(following[c:], best[: budget + 1 - c] + e)
        best = following
    return float(best[-1])


@pytest.mark.parametrize("seed", range(4))
def test_many_layers_agree_with_the_plain_dynamic_programme(seed: int) -> None:
    random = np.random.default_rng(seed)
    steps = [random.integers(1, 12, random.integers(5, 40)) for _ in range(20)]
    costs = [np.cumsum(step) for step in steps]
    errors = [np.sort(random.random(len(step)) ** 3)[::-1] for step in steps]
    for share in (0.1, 0.25, 0.6):
        budget = int(share * sum(int(cost[-1]) for cost in costs))
        picks = knapsack(costs, errors, budget)
        assert sum(int(cost[i]) for cost, i in zip(costs, picks, strict=True)) <= budget
        assert sum(error[i] for error, i in zip(errors, picks, strict=True)) == pytest.approx(
            by_units(costs, errors, budget), rel=1e-12
        )


def test_nearly_equal_choices_beyond_number_end_in_one_of_the_best() -> None:
    random = np.random.default_rng(0)
    costs = [random.integers(0, 10**9, 300) for _ in range(30)]
    errors = [1 - cost / 10**9 for cost in costs]  # every sum that costs the same is equally good
    budget = 30 * 10**8
    picks = knapsack(costs, errors, budget)
    assert sum(int(cost[i]) for cost, i in zip(costs, picks, strict=True)) <= budget
    assert sum(error[i] for error, i in zip(errors, picks, strict=True)) <= 27 * (1 + 1e-6)


def test_infinite_errors_are_never_chosen() -> None:
    assert knapsack([[0, 5], [1, 2, 9]], [[1.0, 0.0], [np.inf, 3.0, 0.0]], 10) == [0, 2]
    with pytest.raises(pruners.InfeasibleBudget) as caught:
        knapsack([[0, 5], [1, 2, 9]], [[1.0, 0.0], [np.inf, np.inf, 0.0]], 8)
    assert caught.value.least == 9


@pytest.mark.parametrize(
    ("costs", "errors", "said"),
    [
        ([[1, 2]], [[0.5]], "Layer 0 has 2 costs and 1 errors"),
        ([[1], [1, -2]], [[1.0], [1.0, 0.0]], "layer 1 must be numbers of at least 0"),
        ([[1, 2]], [[0.5, np.nan]], "layer 0 must be numbers of at least 0"),
        ([[1.5]], [[0.5]], "layer 0 must be whole numbers, not float64"),
        ([[1], []], [[0.5], []], "Layer 1 has no option whose error is finite"),
        ([[1]], [[np.inf]], "Layer 0 has no option whose error is finite"),
    ],
)
def test_refuses_what_is_no_problem(costs: list[list[float]], errors: list[list[float]], said: str) -> None:
    with pytest.raises(pruners.PrunerError, match=said):
        knapsack(costs, errors, 10)


def test_no_layers_need_nothing() -> None:
    assert knapsack([], [], 0) == []
