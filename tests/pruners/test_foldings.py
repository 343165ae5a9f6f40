"""The four foldings of a kernel against numpy's truncations and against brute force."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.lowrank.layers.cut import FOLDINGS, Cut
from pruners.lowrank.layers.folding import folded_shape
from pruners.lowrank.layers.steps import params_of
from pruners.testing.lowrank.networks import images, small_network

SIDES = {
    # numpy's axes of a group's kernel: those of the rows, those of the columns
    "encode": ((0,), (1, 2, 3)),
    "decode": ((0, 2, 3), (1,)),
    "split1": ((0, 2), (1, 3)),
    "split2": ((0, 3), (1, 2)),
}
METHODS = pytest.mark.parametrize("method", ["alds", "svd", "svd_energy", "l_rank"])


def truncated(kernel, rank, num_subspaces, form):
    """A group's kernel, its folding's slices of input channels truncated, and the errors of that."""
    rows, columns = SIDES[form]
    order = (*rows, *columns)
    made, residuals = np.empty_like(kernel), []
    for part in np.split(np.arange(kernel.shape[1]), num_subspaces):
        piece = kernel[:, part].transpose(order)
        matrix = piece.reshape(int(np.prod(piece.shape[: len(rows)])), -1)
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        low = (u[:, :rank] * s[:rank]) @ v[:rank]
        made[:, part] = low.reshape(piece.shape).transpose(np.argsort(order))
        residuals.append(np.linalg.norm(matrix - low, 2))
    whole = kernel.transpose(order).reshape(int(np.prod([kernel.shape[a] for a in rows])), -1)
    left = (kernel - made).transpose(order).reshape(whole.shape)
    return made, residuals, np.linalg.norm(left, 2), np.linalg.norm(whole, 2)


def truncated_layer(weight, groups, cut):
    """The whole weight truncated, and its five errors."""
    kernels = weight.numpy().reshape(groups, -1, *weight.shape[1:])
    parts = [truncated(kernel, cut.rank, cut.num_subspaces, cut.form) for kernel in kernels]
    scale = max(part[3] for part in parts)
    slices = np.array([part[1] for part in parts]) / scale
    made = np.stack([part[0] for part in parts])
    errors = {
        "max": slices.max(),
        "thm1": np.sqrt(cut.num_subspaces) * slices.max(),
        "sum": np.sqrt((slices**2).sum(axis=1)).max(),
        "true": max(part[2] for part in parts) / scale,
        "frobenius": np.linalg.norm(made - kernels) / np.linalg.norm(kernels),
    }
    return torch.from_numpy(made).reshape(weight.shape), errors


@st.composite
def convolutions(draw):
    """A convolution of any stride, padding, dilation and groups, in float64, with an input for it."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = (groups * draw(st.sampled_from([2, 4, 6])) for _ in range(2))
    padding = draw(st.sampled_from([(0, 0), (1, 1), (2, 0), (1, 2), "same", "valid"]))
    torch.manual_seed(draw(st.integers(0, 99)))
    layer = nn.Conv2d(
        channels,
        filters,
        draw(st.sampled_from([(3, 3), (3, 3), (1, 3), (5, 1), (2, 3), (3, 4)])),
        stride=(1, 1) if padding == "same" else draw(st.sampled_from([(1, 1), (2, 2), (1, 3), (2, 1)])),
        padding=padding,
        dilation=draw(st.sampled_from([(1, 1), (2, 1), (1, 2)])),
        groups=groups,
        bias=draw(st.booleans()),
        padding_mode=draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
    ).double()
    return layer, torch.randn(2, channels, 11, 9, dtype=torch.float64)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@METHODS
@settings(max_examples=15, deadline=None)
@given(
    convolution=convolutions(),
    folding=st.sampled_from([*FOLDINGS, "best"]),
    keep_ratio=st.floats(0.3, 0.95),
    metric=st.sampled_from(["max", "true", "frobenius"]),
)
@torch.no_grad()
def test_the_small_network_is_the_folded_truncation(method, convolution, folding, keep_ratio, metric):
    layer, inputs = convolution
    model, options = nn.Sequential(layer).eval(), {"folding": folding}
    ratio = max(keep_ratio, pruners.least_budget(model, method=method, **options))
    if method == "alds":
        options["metric"] = metric
    artifact = pruners.compress(model, method, keep_ratio=ratio, **options)
    small = artifact.apply(model)
    if not artifact.layers:
        assert torch.equal(small(inputs), model(inputs))
        return
    choice = artifact.layers["0"]
    assert folding in ("best", choice.form)
    expected, errors = truncated_layer(layer.weight, layer.groups, choice.cut)
    assert artifact.layer_errors["0"] == pytest.approx(errors, abs=1e-9)
    assert choice.error == pytest.approx(errors[artifact.metric], abs=1e-9)
    torch.testing.assert_close(small[0].weight, expected, atol=1e-9, rtol=0)
    assert sum(part.weight.numel() for part in small[0]) == choice.params == artifact.params
    layer.weight.copy_(expected)
    torch.testing.assert_close(small(inputs), model(inputs), atol=1e-9, rtol=0)
    torch.testing.assert_close(artifact.project_back(small)(inputs), small(inputs), atol=1e-9, rtol=0)


def test_which_layers_stand_for_a_convolution():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 10, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2)))
    kernels = {
        "encode": [(3, 5), (1, 1)],
        "decode": [(1, 1), (3, 5)],
        "split1": [(1, 5), (3, 1)],
        "split2": [(3, 1), (1, 5)],
    }
    for folding, expected in kernels.items():
        first, second = pruners.compress(model, keep_ratio=0.4, folding=folding).apply(model)[0]
        assert [first.kernel_size, second.kernel_size] == expected
        strides = [(2 if k[0] == 3 else 1, 1) for k in expected]
        paddings = [(1 if k[0] == 3 else 0, 2 if k[1] == 5 else 0) for k in expected]
        dilations = [(1, 2 if k[1] == 5 else 1) for k in expected]
        assert [first.stride, second.stride] == strides
        assert [first.padding, second.padding] == paddings
        assert [first.dilation, second.dilation] == dilations


@METHODS
def test_the_usual_folding_is_the_default_to_the_bit(method):
    model = small_network()
    default, encode = (
        pruners.compress(model, method, keep_ratio=0.3, **o) for o in ({}, {"folding": "encode"})
    )
    assert default.plan == encode.plan and {c.form for c in default.layers.values()} == {"encode"}
    assert all(torch.equal(default.tensors[name], tensor) for name, tensor in encode.tensors.items())
    told = default.described()["plan"]["layers"]
    assert all(layer.keys() == {"rank", "num_subspaces", "error", "params"} for layer in told.values())


def every_option(layer, unit, size):
    """(cost, largest error of a slice) of every cut that saves weights, in any folding, and of dense."""
    filters, channels, height, width = layer.weight.shape
    groups, inputs = layer.groups, size
    outputs = tuple(layer(torch.ones(1, channels * groups, *size)).shape[2:])
    options = [(layer.weight.numel() * (np.prod(outputs) if unit == "multiply_adds" else 1), 0.0)]
    spanned_first = {
        "encode": (True, True),
        "decode": (False, False),
        "split1": (False, True),
        "split2": (True, False),
    }
    for form, sides in spanned_first.items():
        first_area = np.prod([k for k, spanned in zip((height, width), sides, strict=True) if spanned])
        between = [o if spanned else i for i, o, spanned in zip(inputs, outputs, sides, strict=True)]
        for number in (n for n in range(1, channels + 1) if channels % n == 0):
            for rank in itertools.count(1):
                first = groups * rank * channels * first_area
                second = filters * number * rank * height * width // first_area
                if first + second >= layer.weight.numel():
                    break
                _, errors = truncated_layer(layer.weight.double(), groups, Cut(rank, number, form))
                if unit == "multiply_adds":
                    first, second = first * np.prod(between), second * np.prod(outputs)
                options.append((first + second, errors["max"]))
    return options


@pytest.mark.parametrize("unit", ["parameters", "multiply_adds"])
@torch.no_grad()
def test_no_choice_of_foldings_is_better(unit):
    """ALDS in the best folding against all combinations: the same largest error, the cost as told."""
    torch.manual_seed(4)
    model = nn.Sequential(nn.Conv2d(2, 6, 3, stride=2), nn.Conv2d(6, 8, (3, 2), groups=2, padding=1))
    example = torch.randn(1, 2, 11, 11)
    sizes = [tuple(model[:number](example).shape[2:]) for number in range(len(model))]
    options = [every_option(layer, unit, size) for layer, size in zip(model, sizes, strict=True)]
    total = sum(of_layer[0][0] for of_layer in options)
    forms = set()
    for share in (0.35, 0.5, 0.65, 0.8):
        budget = int(share * total)
        within = (c for c in itertools.product(*options) if sum(cost for cost, _ in c) <= budget)
        least = min(max(error for _, error in combination) for combination in within)
        kind = (
            {"flops_ratio": share, "example": example} if unit == "multiply_adds" else {"keep_ratio": share}
        )
        artifact = pruners.compress(model, folding="best", **kind)
        assert artifact.error == pytest.approx(least, abs=1e-9)
        counted = pruners.cost(artifact, example)
        weights = counted.params - sum(layer.bias.numel() for layer in model)
        assert artifact.plan.cost == (counted.multiply_adds if unit == "multiply_adds" else weights) <= budget
        forms |= {choice.form for choice in artifact.layers.values()}
    assert len(forms) > 1


@METHODS
def test_budgets_hold_in_every_folding(method, batch):
    """In weights and multiply-adds, as counted of the small network; the best is looked for in all four."""
    model, dense = small_network(), pruners.cost(small_network(), batch).multiply_adds
    total = sum(layer.params for layer in pruners.compressible(model).values())
    for folding in (*FOLDINGS, "best"):
        for share in (0.3, 0.5, 0.8):
            artifact = pruners.compress(model, method, keep_ratio=share, folding=folding)
            weights = sum(w.numel() for n, w in artifact.apply(model).named_parameters() if "weight" in n)
            norms = sum(m.weight.numel() for m in model if isinstance(m, nn.BatchNorm2d))
            assert weights - norms == artifact.params <= share * total
            artifact = pruners.compress(model, method, flops_ratio=share, example=batch, folding=folding)
            counted = pruners.cost(artifact, batch).multiply_adds
            assert counted == artifact.plan.cost <= share * dense


def test_the_best_folding_is_no_worse_than_any():
    model = small_network()
    for share in (0.1, 0.2, 0.4, 0.7):
        errors = {f: pruners.plan(model, keep_ratio=share, folding=f).error for f in (*FOLDINGS, "best")}
        assert errors["best"] <= min(errors.values())


def test_svd_takes_the_least_error_at_the_usual_foldings_cost():
    torch.manual_seed(6)
    model = nn.Sequential(nn.Conv2d(12, 6, 3))
    usual = pruners.plan(model, "svd", keep_ratio=0.6)
    found = pruners.plan(model, "svd", keep_ratio=0.6, folding="best")
    assert found.params <= usual.params
    weight, at_cost = model[0].weight.detach().double(), {}
    shape = pruners.compressible(model)["0"]
    for form in FOLDINGS:
        ranks = range(1, folded_shape(shape, form).max_rank(1) + 1)
        cut = [c for r in ranks if params_of(shape, c := Cut(r, 1, form)) <= usual.params][-1]
        at_cost[cut] = truncated_layer(weight, 1, cut)[1]["max"]
    assert found.layers["0"].cut == min(at_cost, key=at_cost.get) != usual.layers["0"].cut


def test_svd_energy_takes_the_cheapest_folding_that_holds_the_share():
    torch.manual_seed(6)
    model = nn.Sequential(nn.Conv2d(12, 6, 3))
    shape, weight = pruners.compressible(model)["0"], model[0].weight.detach().double()
    plan = pruners.plan(model, "svd_energy", keep_ratio=0.6, folding="best")
    chosen = plan.layers["0"].cut
    held = 1 - truncated_layer(weight, 1, chosen)[1]["frobenius"] ** 2
    for form in FOLDINGS:
        for rank in range(1, folded_shape(shape, form).max_rank(1) + 1):
            cut = Cut(rank, 1, form)
            if params_of(shape, cut) < plan.layers["0"].params:
                assert 1 - truncated_layer(weight, 1, cut)[1]["frobenius"] ** 2 < held
            elif plan.budget >= params_of(shape, cut):  # a larger share would have been taken
                assert 1 - truncated_layer(weight, 1, cut)[1]["frobenius"] ** 2 <= held + 1e-9


def test_a_folding_goes_without_a_refit(network):
    data = images(4, 8, 8)
    with pytest.raises(pruners.PrunerError, match=r"refit 'layer' fits the 1 x 1.*'decode' goes without"):
        pruners.compress(network, keep_ratio=0.3, data=data, folding="decode", refit="layer")
    with pytest.raises(pruners.PrunerError, match="encoders 'joint' belong to a refit"):
        pruners.compress(network, keep_ratio=0.3, data=data, folding="best", encoders="joint")
    assert not pruners.methods()["alds"].wants_data({"folding": "best"})
    assert pruners.compress(network, keep_ratio=0.3, data=data, folding="best").refit is None
    with pytest.raises(pruners.PrunerError, match="folding 'encoder' is unknown; did you mean 'encode'"):
        pruners.plan(network, keep_ratio=0.3, folding="encoder")


def test_a_pinned_layer_keeps_the_usual_folding(network):
    pin = {"0": {"rank": 2, "num_subspaces": 2}}
    plan = pruners.plan(network, keep_ratio=0.95, folding="split1", layers=pin, exclude=["7", "9"])
    assert plan.layers["0"].cut == Cut(2, 2) and plan.layers["3"].form == "split1"


def test_foldings_go_through_files_with_their_time(network, batch, tmp_path):
    network.double()
    least = pruners.least_budget(network, "latency_ms", example=batch.double(), folding="best")
    artifact = pruners.compress(network, latency_ms=2 * least, example=batch.double(), folding="best")
    assert artifact.plan.cost <= artifact.budget
    artifact = pruners.compress(network, keep_ratio=0.3, folding="best")
    artifact.save(tmp_path)
    loaded = pruners.load(tmp_path)
    assert loaded.plan == artifact.plan and loaded.layer_errors == artifact.layer_errors
    small = loaded.apply(network)
    assert torch.equal(small(batch.double()), artifact.apply(network)(batch.double()))
    assert loaded.capture(small).layers == artifact.layers
