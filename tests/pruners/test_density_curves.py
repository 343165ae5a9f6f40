"""Curves of layers' densities against direct measurements, and budgets spent by them against brute force."""

import copy
import itertools
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pruners
from pruners.calibration.calibration import Calibration, calibration_of
from pruners.feasible import check_mask_feasible
from pruners.sparse.curves.density_curve import DensityCurve
from pruners.sparse.curves.kept_curves import density_curves_of
from pruners.sparse.curves.measured_allocation import divided_by_curves
from pruners.sparse.curves.measuring import curve_digest, measure_density_curve, measured_counts
from pruners.testing.sparse.network import WEIGHTS, OddNetwork

pytestmark = pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")
IMAGES = torch.randn(48, 4, 6, 6, generator=torch.Generator().manual_seed(8))


def trained():
    model = OddNetwork()
    with torch.no_grad():
        model.output.weight.mul_(8)  # outputs that differ enough to be told apart
    return model.eval()


def everything(model):
    return {
        layer.parameter: torch.ones(layer.shape, dtype=torch.bool)
        for layer in pruners.prunable(model).values()
    }


def order_of(weight, mask):
    """The places that are left, largest first, by Python's own stable sort."""
    magnitudes, left = weight.detach().abs().flatten().tolist(), mask.flatten().tolist()
    places = [place for place, alive in enumerate(left) if alive]
    return torch.tensor(sorted(places, key=lambda place: -magnitudes[place]))


def measured_directly(model, calibration, alive, parameter, kept):
    small = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in small.named_parameters():
            if name in alive:
                weight.mul_(alive[name] if name != parameter else kept)
    pruners.recalibrate_batchnorm(small, calibration.batches)
    return calibration.divergence(small)


@pytest.mark.parametrize("layer", ["stem.0", "grouped", "line", "first"])
def test_a_curve_is_what_is_measured_directly_bit_for_bit(layer):
    model = trained()
    before = copy.deepcopy(model)
    alive = everything(model) | {"hidden.weight": model.hidden.weight > -0.05}
    if layer == "line":
        alive["line.weight"] = model.line.weight > -0.1
    calibration, parameter = Calibration(model, IMAGES), f"{layer}.weight"
    order = order_of(model.get_parameter(parameter), alive[parameter])
    curve = measure_density_curve(calibration, alive, parameter, order)
    assert curve.counts[0] == 0 and curve.counts[-1] == len(order) and 7 <= len(curve.counts) <= 10
    for count, divergence in zip(curve.counts, curve.divergences, strict=True):
        kept = torch.zeros(alive[parameter].numel(), dtype=torch.bool)
        kept[order[:count]] = True
        kept = kept.view(alive[parameter].shape)
        assert divergence == measured_directly(model, calibration, alive, parameter, kept)
    assert curve.divergences[0] > 0
    assert all(torch.equal(tensor, before.state_dict()[name]) for name, tensor in model.state_dict().items())
    again = measure_density_curve(Calibration(model, IMAGES), alive, parameter, order)
    assert again == curve
    assert DensityCurve.restored(json.loads(json.dumps(curve.described()))) == curve


def test_a_curve_falls_and_ends_at_nothing_added():
    curve = DensityCurve((0, 1, 3, 7, 15), (0.9, 0.5, 0.6, 0.2, 0.1))
    assert curve.added([0, 1, 3, 7, 15]) == pytest.approx([0.8, 0.4, 0.4, 0.1, 0.0])
    assert curve.added([5]) == pytest.approx([0.4 - 0.3 * math.log(6 / 4) / math.log(2)])
    assert DensityCurve((0, 9), (0.2, 0.3)).added([0, 4, 9]).tolist() == [0.0, 0.0, 0.0]


@st.composite
def curves(draw, most=12):
    found = {}
    for name in "abcd"[: draw(st.integers(1, 4))]:
        weights = draw(st.integers(1, most))
        counts = sorted({0, weights, *draw(st.lists(st.integers(0, weights), max_size=4))})
        divergences = [draw(st.integers(0, 20)) / 16 for _ in counts]
        found[name] = DensityCurve(tuple(counts), tuple(divergences))
    return found


@given(curves(), st.data())
@settings(max_examples=60, deadline=None)
def test_the_sum_of_all_curves_is_the_least_there_is(found, data):
    scale = {name: data.draw(st.sampled_from([0.5, 1.0, 3.0])) for name in found if name != "b"}
    least = {name: data.draw(st.integers(0, curve.counts[-1])) for name, curve in found.items()}
    total = data.draw(st.integers(sum(least.values()), sum(curve.counts[-1] for curve in found.values())))

    def summed(counts):
        return sum(
            float(found[name].added([count])[0]) * scale.get(name, 1.0)
            for name, count in zip(found, counts, strict=True)
        )

    counts = divided_by_curves(total, found, scale, least)
    assert sum(counts.values()) == total
    ranges = [range(least[name], curve.counts[-1] + 1) for name, curve in found.items()]
    possible = [split for split in itertools.product(*ranges) if sum(split) == total]
    assert tuple(counts.values()) in possible
    assert summed(counts.values()) == pytest.approx(min(map(summed, possible)), abs=1e-9)


@given(curves(most=10**6), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_large_layers_keep_exactly_the_total(found, share):
    total = round(share * sum(curve.counts[-1] for curve in found.values()))
    counts = divided_by_curves(total, found, {}, dict.fromkeys(found, 0))
    assert sum(counts.values()) == total
    assert all(0 <= count <= found[name].counts[-1] for name, count in counts.items())


def test_the_remainder_goes_where_the_curve_falls_most():
    steep = DensityCurve((0, 1000), (2.0, 0.0))
    flat = DensityCurve((0, 1000), (1.0, 0.0))
    counts = divided_by_curves(901, {"flat": flat, "steep": steep}, {}, {"flat": 0, "steep": 0})
    assert counts["steep"] > counts["flat"] and sum(counts.values()) == 901
    swapped = divided_by_curves(901, {"flat": flat, "steep": steep}, {"flat": 4.0}, {"flat": 0, "steep": 0})
    assert swapped["flat"] > swapped["steep"]


@pytest.mark.parametrize("ratio", [0.05, 0.3, 0.77, 1.0])
def test_the_budget_is_kept_exactly_and_layers_keep_their_best(ratio):
    model = trained()
    mask = pruners.compress(model, "magnitude", keep_ratio=ratio, allocation="measured", data=IMAGES)
    assert mask.params == -(-WEIGHTS * round(100 * ratio) // 100)
    for name, kept in mask.masks.items():
        best = order_of(model.get_parameter(name), torch.ones_like(kept))[: int(kept.sum())]
        assert kept.flatten()[best].all()


def test_curves_are_kept_and_those_handed_in_are_used():
    model = trained()
    ask = {"keep_ratio": 0.3, "allocation": "measured", "data": IMAGES}
    first = pruners.compress(model, "magnitude", **ask)
    known = density_curves_of(calibration_of(model, IMAGES))
    assert len(known) == len(pruners.prunable(model))
    digest = curve_digest(
        everything(model), "hidden.weight", order_of(model.hidden.weight, torch.ones(10, 24) > 0)
    )
    known[digest] = DensityCurve((0, 240), (100.0, 0.0))
    second = pruners.compress(model, "magnitude", **ask)
    assert second.layers["hidden"].params > first.layers["hidden"].params
    assert len(known) == len(pruners.prunable(model))


def test_a_larger_scale_keeps_more_of_a_layer():
    model = trained()
    ask = {"keep_ratio": 0.3, "allocation": "measured", "data": IMAGES}
    kept = [
        pruners.compress(model, "magnitude", scale={"grouped": factor}, **ask).layers["grouped"].params
        for factor in (0.1, 1.0, 100.0)
    ]
    assert kept == sorted(kept) and kept[0] < kept[-1]


def test_layers_with_a_share_of_their_own_and_going_on_from_a_mask():
    model = trained()
    first = pruners.compress(model, "magnitude", keep_ratio=0.6)
    mask = pruners.compress(
        model,
        "magnitude",
        budget=200,
        allocation="measured",
        min_layer_keep=2,
        layer_keep_ratio={"output": 0.4},
        mask=first,
        data=IMAGES,
    )
    assert mask.params == 200 and mask.layers["output"].params == 12
    assert all(layer.params >= min(2, layer.dense_params) for layer in mask.layers.values())
    assert all((first.masks[name] | ~kept).all() for name, kept in mask.masks.items())


REFUSED = {
    "no images": ({}, "allocation measured needs data="),
    "rounds": (
        {"data": IMAGES, "rounds": 2},
        "allocation measured removes weights once: give rounds 1, not 2",
    ),
    "scale of no layer": ({"data": IMAGES, "scale": {"outptu": 2.0}}, "scale: .* did you mean 'output'"),
    "scale of nothing": (
        {"data": IMAGES, "scale": {"output": 0.0}},
        "scale of layer 'output' must be a posi",
    ),
    "scale alone": (
        {"allocation": "erk", "scale": {"output": 2.0}},
        "scale multiplies curves .*; erk has none",
    ),
    "images of another form": ({"data": 3}, "data takes inputs, or batches of them, not 3"),
    "less than shares": (
        {"data": IMAGES, "layer_keep_ratio": {"output": 1.0}, "budget": 20, "keep_ratio": None},
        "least possible budget is 30",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    arguments, message = REFUSED[name]
    ask = {"keep_ratio": 0.5, "allocation": "measured"} | arguments
    with pytest.raises(pruners.PrunerError, match=message):
        pruners.compress(OddNetwork(), "magnitude", **ask)


def test_shapes_alone_tell_what_is_feasible():
    with torch.device("meta"):
        model = OddNetwork()
    check_mask_feasible(model, "magnitude", keep_ratio=0.1, allocation="measured")
    with pytest.raises(pruners.InfeasibleBudget, match="min_layer_keep"):
        check_mask_feasible(model, "magnitude", keep_ratio=0.01, allocation="measured", min_layer_keep=5)


def test_measured_counts():
    assert measured_counts(1000)[:3] == [0, 10, 18] and measured_counts(1000)[-1] == 1000
    assert measured_counts(1) == [0, 1] and measured_counts(0) == [0]
