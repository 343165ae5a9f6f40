"""When masks have settled, against counting one weight at a time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pruners
from pruners.sparse.mask import Mask
from pruners.sparse.selection.prunable import PrunableLayer

SHAPES = {"first.weight": (2, 3), "second.weight": (1, 3)}


def mask_of(bits, shapes=SHAPES):
    masks, start = {}, 0
    for name, shape in shapes.items():
        size = shape[0] * shape[1]
        masks[name] = torch.tensor(bits[start : start + size], dtype=torch.bool).reshape(shape)
        start += size
    layers = {
        name.removesuffix(".weight"): PrunableLayer(name, shape, "linear") for name, shape in shapes.items()
    }
    return Mask("magnitude", {}, layers, masks)


bits = st.lists(st.booleans(), min_size=9, max_size=9)


@given(bits, bits)
def test_distance_counts_the_weights_that_differ(first, second):
    expected = sum(a != b for a, b in zip(first, second, strict=True)) / 9
    assert pruners.mask_distance(mask_of(first), mask_of(second)) == expected
    assert pruners.mask_distance(mask_of(second), mask_of(first)) == expected


@given(st.lists(bits, max_size=8), st.integers(1, 6), st.sampled_from([0.1, 0.3, 0.5, 1.1]))
def test_settled_looks_at_every_mask_in_the_window(history, window, tolerance):
    expected = len(history) > window
    for back in range(1, window + 1):
        if expected:
            apart = sum(a != b for a, b in zip(history[-1], history[-1 - back], strict=True))
            expected = apart / 9 < tolerance
    assert pruners.settled([mask_of(bits) for bits in history], window, tolerance) is expected


def test_a_slow_drift_has_not_settled():
    drifting = [mask_of([i < kept for i in range(9)]) for kept in range(6)]
    assert not pruners.settled(drifting, tolerance=0.3)
    assert pruners.settled(drifting, tolerance=0.6)
    assert pruners.settled(drifting, window=2, tolerance=0.3)


def test_a_distance_of_the_tolerance_itself_is_not_below_it():
    masks = [mask_of([True] * 9), mask_of([False] * 3 + [True] * 6)]
    assert not pruners.settled(masks, window=1, tolerance=1 / 3)


@pytest.mark.parametrize(
    "shapes", [{"first.weight": (2, 3)}, SHAPES | {"second.weight": (3, 1)}], ids=["missing", "another shape"]
)
def test_masks_of_different_networks_are_refused(shapes):
    one, other = mask_of([True] * 9), mask_of([True] * 9, shapes)
    with pytest.raises(pruners.PrunerError, match=r"'second\.weight'"):
        pruners.mask_distance(one, other)
    with pytest.raises(pruners.PrunerError, match="different networks"):
        pruners.settled([one, other], window=1)


@pytest.mark.parametrize("window", [0, -1, 2.5, True])
def test_a_window_is_a_positive_whole_number(window):
    with pytest.raises(pruners.PrunerError, match="window"):
        pruners.settled([mask_of([True] * 9)] * 9, window=window)
