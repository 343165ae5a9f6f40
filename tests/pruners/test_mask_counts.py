"""Shares, divisions and rounds in whole numbers."""

from fractions import Fraction

import pytest
from hypothesis import given, strategies

import pruners
from pruners.sparse.selection.counts import after_rounds, as_share, divided, exact_share, kept


@pytest.mark.parametrize(
    ("ratio", "weights", "expected"),
    [(0.1, 30, 3), (0.1, 31, 4), (0.29, 100, 29), (1e-9, 5, 1), (1.0, 7, 7), (1, 7, 7), (0.07, 100, 7)],
)
def test_shares_are_of_the_decimals_written(ratio, weights, expected):
    assert kept(exact_share(ratio, "keep_ratio"), weights) == expected


@pytest.mark.parametrize("value", [0, -0.1, 1.01, float("nan"), float("inf"), True, "half", None])
def test_shares_that_are_none(value):
    with pytest.raises(pruners.PrunerError, match="keep_ratio must lie above 0"):
        exact_share(value, "keep_ratio")


@given(strategies.integers(1, 10**7), strategies.integers(1, 10**7))
def test_a_count_as_a_share_and_back(a, b):
    count, weights = min(a, b), max(a, b)
    assert kept(exact_share(as_share(count, weights), "keep_ratio"), weights) == count


@given(
    strategies.data(),
    strategies.lists(strategies.tuples(*[strategies.integers(1, 50)] * 3), min_size=1, max_size=7),
)
def test_divisions_are_exact_and_closest_to_proportion(data, layers):
    parts = [part for part, _, _ in layers]
    least, most = [min(a, b) - 1 for _, a, b in layers], [max(a, b) for _, a, b in layers]
    total = data.draw(strategies.integers(sum(least), sum(most)))
    counts = divided(total, parts, least, most)
    assert sum(counts) == total
    assert all(low <= count <= high for low, count, high in zip(least, counts, most, strict=True))
    # any two that no bound stops are in proportion to their parts up to one weight each
    for a in range(len(parts)):
        for b in range(len(parts)):
            if counts[a] > least[a] and counts[b] < most[b]:
                assert Fraction(counts[a] - 1, parts[a]) < Fraction(counts[b] + 1, parts[b])


def test_largest_remainders_get_what_is_left():
    assert divided(10, [3, 3, 3], [0, 0, 0], [9, 9, 9]) == [4, 3, 3]
    assert divided(5, [1, 2, 4], [0, 0, 0], [9, 9, 9]) == [1, 1, 3]
    assert divided(12, [1, 1, 10], [4, 0, 0], [9, 9, 5]) == [4, 3, 5]
    assert divided(0, [0, 2], [0, 0], [0, 3]) == [0, 0]


@given(
    strategies.integers(0, 10**9),
    strategies.integers(0, 10**9),
    strategies.integers(1, 120),
    strategies.sampled_from(["linear", "exponential"]),
)
def test_rounds_fall_to_the_exact_end(a, b, rounds, schedule):
    start, end = max(a, b), min(a, b)
    counts = after_rounds(start, end, rounds, schedule)
    assert len(counts) == rounds and counts[-1] == end
    assert [start, *counts] == sorted([start, *counts], reverse=True)


def test_schedules_by_hand():
    assert after_rounds(100, 20, 4, "linear") == [80, 60, 40, 20]
    assert after_rounds(1000, 1, 3, "exponential") == [100, 10, 1]
    assert after_rounds(10, 0, 3, "linear") == [7, 4, 0]
    assert after_rounds(0, 0, 3, "exponential") == [0, 0, 0]
