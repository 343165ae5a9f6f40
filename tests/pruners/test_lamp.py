"""LAMP's scores against the sum itself, and what they make of a budget."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.sparse.selection.lamp import lamp_scores
from pruners.testing.sparse.network import WEIGHTS, OddNetwork, best
from pruners.testing.sparse.network import given as scored_with

pytestmark = pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")


def by_hand(scores, alive):
    """Of equal scores the later is the lower one, so only the earlier count as not smaller."""
    found = []
    for place, score in enumerate(scores):
        rest = [
            other**2
            for where, other in enumerate(scores)
            if alive[where] and (other > score or (other == score and where <= place))
        ]
        found.append(score**2 / sum(rest) if alive[place] and score else 0.0)
    return found


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_a_layers_scores_are_the_papers_sum(drawn):
    scores, alive = [value / 7 for value, _ in drawn], [left for _, left in drawn]
    found = lamp_scores({"w": torch.tensor(scores)}, {"w": torch.tensor(alive)})["w"]
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(by_hand(torch.tensor(scores).double().tolist(), alive))


def test_squares_neither_overflow_nor_vanish():
    big, small = (
        lamp_scores({"w": torch.tensor([1.0, 2.0], dtype=torch.float64) * scale}, {"w": torch.ones(2) > 0})[
            "w"
        ]
        for scale in (1e200, 1e-200)
    )
    assert big.tolist() == small.tolist() == [pytest.approx(0.2), 1.0]


def test_the_highest_shares_are_kept_wherever_they_are():
    model = OddNetwork()
    magnitudes = {name: score.double() for name, score in pruners.scores(model, "magnitude").items()}
    shares = {
        name: torch.tensor(by_hand(score.flatten().tolist(), [True] * score.numel())).view(score.shape)
        for name, score in magnitudes.items()
    }
    mask = pruners.compress(model, "magnitude", budget=300, allocation="lamp")
    expected = best(shares, 300)
    assert all(torch.equal(mask.masks[name], kept) for name, kept in expected.items())
    assert any(
        not torch.equal(mask.masks[name], kept)
        for name, kept in pruners.compress(model, "magnitude", budget=300).masks.items()
    )
    inverted = pruners.compress(model, "magnitude", budget=300, allocation="lamp", invert=True)
    expected = best(shares, 300, lowest=True)
    assert all(torch.equal(inverted.masks[name], kept) for name, kept in expected.items())


def test_every_layer_keeps_a_weight_before_any_keeps_two():
    model = OddNetwork()
    layers = len(pruners.prunable(model))
    mask = pruners.compress(model, "magnitude", budget=layers, allocation="lamp")
    assert [layer.params for layer in mask.layers.values()] == [1] * layers


def test_a_layer_scaled_by_a_number_keeps_as_much():
    model = nn.Sequential(nn.Linear(9, 8), nn.Linear(8, 7))
    before = pruners.compress(model, "magnitude", keep_ratio=0.3, allocation="lamp")
    with torch.no_grad():
        model[0].weight.mul_(64)
    after = pruners.compress(model, "magnitude", keep_ratio=0.3, allocation="lamp")
    assert before.layers == after.layers


def test_rounds_count_what_is_left():
    """Three rounds by hand; the sums of a layer fall as it loses weights."""
    model, alive = OddNetwork(), None
    for count in (700, 500, 260):
        magnitudes = {name: score.double() for name, score in pruners.scores(model, "magnitude").items()}
        alive = alive or {name: torch.ones(score.shape) > 0 for name, score in magnitudes.items()}
        shares = {
            name: torch.tensor(by_hand(score.flatten().tolist(), alive[name].flatten().tolist()))
            .view(score.shape)
            .masked_fill(~alive[name], -1)
            for name, score in magnitudes.items()
        }
        alive = best(shares, count)
    mask = pruners.compress(model, "magnitude", budget=700, allocation="lamp")
    mask = pruners.compress(model, "magnitude", budget=500, allocation="lamp", mask=mask)
    mask = pruners.compress(model, "magnitude", budget=260, allocation="lamp", mask=mask)
    assert all(torch.equal(mask.masks[name], kept) for name, kept in alive.items())


SIGNED = {
    "grasp": {},
    "movement": {},
    "obd": {"diagonal": "hutchinson"},
}


@pytest.mark.parametrize("method", SIGNED)
def test_scores_with_a_sign_are_refused(method):
    with pytest.raises(pruners.PrunerError, match=r"allocation lamp .* have a sign"):
        pruners.compress(
            OddNetwork(), method, keep_ratio=0.5, allocation="lamp", **SIGNED[method], **scored_with()
        )


@pytest.mark.parametrize("options", [{}, {"diagonal": "hutchinson", "negative_curvature": "absolute"}])
def test_scores_without_a_sign_are_taken(options):
    mask = pruners.compress(
        OddNetwork(), "obd", budget=WEIGHTS // 2, allocation="lamp", **options, **scored_with()
    )
    assert mask.params == WEIGHTS // 2
