"""Kept weights against numpy's least squares on the columns themselves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners.sparse.fitting.kept_weights import fitted_weights


def problem(rows, n, columns, seed, density=0.5):
    draw = np.random.default_rng(seed)
    inputs = draw.standard_normal((n, columns)) * draw.uniform(0.1, 3, (n, 1))
    inputs[: n // 2] += inputs[n // 2 : n // 2 * 2]
    return draw.standard_normal((rows, n)), draw.random((rows, n)) < density, inputs


def by_lstsq(matrix, kept, inputs, ridge=0.0):
    """The ridge as further columns: as if each input had been seen alone, that large, once more."""
    n, columns = inputs.shape
    size = np.sqrt(ridge * np.mean(np.mean(inputs**2, axis=1)) * columns)
    inputs = np.concatenate([inputs, size * np.eye(n)], axis=1)
    found = np.zeros_like(matrix)
    for row, places, fitted in zip(matrix, kept, found, strict=True):
        # the change that is needed, the smallest where several do
        rest = (row * ~places) @ inputs
        fitted[places] = row[places] + np.linalg.lstsq(inputs[places].T, rest, rcond=1e-7)[0]
    return found


def fitted(matrix, kept, inputs, ridge=0.0):
    second = torch.from_numpy(inputs @ inputs.T / inputs.shape[1])
    return fitted_weights(torch.from_numpy(matrix), torch.from_numpy(kept), second, ridge).numpy()


@given(
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(0, 99),
    st.sampled_from([0.0, 1e-3, 1.0]),
    st.floats(0, 1),
)
@settings(max_examples=80, deadline=None)
def test_least_squares_of_every_row(rows, n, seed, ridge, density):
    drawn = problem(rows, n, 40, seed, density)
    assert fitted(*drawn, ridge) == pytest.approx(by_lstsq(*drawn, ridge), abs=1e-8)


@pytest.mark.parametrize("columns", [1, 4])
def test_fewer_columns_than_inputs(columns):
    """Without a ridge the smallest change is taken; directions that no column shows stay as they are."""
    drawn = problem(5, 8, columns, 3)
    assert fitted(*drawn) == pytest.approx(by_lstsq(*drawn), abs=1e-6)


def test_inputs_that_are_always_zero_change_nothing():
    matrix, kept, inputs = problem(4, 6, 30, 1)
    inputs[[1, 4]] = 0
    result = fitted(matrix, kept, inputs)
    assert result[:, [1, 4]] == pytest.approx((matrix * kept)[:, [1, 4]], abs=1e-12)
    assert fitted(matrix, kept, inputs * 0, 1e-2) == pytest.approx(matrix * kept, abs=0)


def test_uncorrelated_inputs_change_nothing():
    matrix, kept, _ = problem(4, 6, 30, 1)
    assert fitted(matrix, kept, np.sqrt(6) * np.eye(6)) == pytest.approx(matrix * kept, abs=1e-12)


def test_a_large_ridge_changes_nothing_and_none_beats_a_little():
    matrix, kept, inputs = problem(6, 8, 60, 2)

    def error(weights):
        return np.linalg.norm((weights - matrix) @ inputs)

    assert fitted(matrix, kept, inputs, 1e12) == pytest.approx(matrix * kept, abs=1e-9)
    errors = [error(fitted(matrix, kept, inputs, ridge)) for ridge in (0, 1e-3, 1e-1, 10)]
    assert errors == sorted(errors) and errors[-1] < error(matrix * kept)


def test_whole_rows_stay_to_the_bit_and_empty_ones_empty():
    matrix, kept, inputs = problem(5, 7, 50, 4)
    kept[0], kept[1] = True, False
    result = fitted(matrix, kept, inputs, 1e-4)
    assert (result[0] == matrix[0]).all() and (result[1] == 0).all()
    assert (result[~kept] == 0).all()


def test_rows_with_the_same_places_are_solved_as_if_alone():
    matrix, kept, inputs = problem(6, 7, 50, 5)
    kept[3] = kept[5] = kept[0]
    together = fitted(matrix, kept, inputs, 1e-4)
    alone = [fitted(matrix[i : i + 1], kept[i : i + 1], inputs, 1e-4)[0] for i in range(6)]
    assert together == pytest.approx(np.array(alone), abs=1e-12)
