"""Decomposed layers compute what the original layer would with the reconstructed weight."""

import copy
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners


def pinned(layer, rank, num_subspaces):
    """The artifact of a network of one layer, pinned where that saves something."""
    return pruners.compress(
        nn.Sequential(layer), keep_ratio=1.0, layers={"0": {"rank": rank, "num_subspaces": num_subspaces}}
    )


def check_forward(reference, layer, rank, number, inputs):
    artifact = pinned(layer, rank, number)
    model = nn.Sequential(layer)
    small = artifact.apply(model)
    if not artifact.layers:
        assert torch.equal(small(inputs), model(inputs))
        return
    groups = getattr(layer, "groups", 1)
    weight = reference.dense_weight(small[0], groups, number)
    expected = torch.tensor(
        [reference.truncated(m, rank, number).tolist() for m in reference.folded(layer)], dtype=torch.float64
    )
    torch.testing.assert_close(weight, expected, atol=1e-5, rtol=0)
    whole = copy.deepcopy(layer)
    whole.weight.data = weight.reshape(layer.weight.shape).to(layer.weight.dtype)
    torch.testing.assert_close(small[0](inputs), whole(inputs), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(small[0].weight, whole.weight, atol=1e-5, rtol=1e-5)
    assert small[0].bias is small[0][1].bias
    for name in (
        "in_features",
        "out_features",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "padding_mode",
        "in_channels",
    ):
        assert getattr(small[0], name, None) == getattr(layer, name, None)
    assert sum(m.weight.numel() for m in small[0]) == artifact.params == artifact.layers["0"].params


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 2, 3]))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = draw(st.sampled_from([0, 1, (0, 1), "same", "valid"]))
    layer = nn.Conv2d(
        groups * draw(st.sampled_from([1, 2, 4, 6])),
        groups * draw(st.integers(1, 7)),
        kernel,
        stride=1 if padding == "same" else draw(st.sampled_from([1, 2, (1, 2)])),
        padding=padding,
        dilation=draw(st.sampled_from([1, 2, (2, 1)])),
        groups=groups,
        bias=draw(st.booleans()),
        padding_mode=draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return layer


@settings(max_examples=80, deadline=None, derandomize=True)
@given(layer=convolutions(), data=st.data())
def test_any_convolution(reference, layer, data):
    shape = pruners.compressible(nn.Sequential(layer))["0"]
    number = data.draw(st.sampled_from(shape.candidate_subspaces))
    rank = data.draw(st.integers(1, max(1, shape.largest_saving_rank(number))))
    inputs = torch.randn(2, layer.in_channels, 9, 8, generator=torch.Generator().manual_seed(1))
    # torch pads unevenly on its own for 'same' with an even kernel, and says so
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using padding='same'")
        check_forward(reference, layer, rank, number, inputs)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), lead=st.lists(st.integers(1, 3), max_size=3), bias=st.booleans())
def test_any_linear(reference, data, lead, bias):
    layer = nn.Linear(data.draw(st.sampled_from([1, 7, 12])), data.draw(st.integers(1, 20)), bias=bias)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(2))
    shape = pruners.compressible(nn.Sequential(layer))["0"]
    number = data.draw(st.sampled_from(shape.candidate_subspaces))
    rank = data.draw(st.integers(1, max(1, shape.largest_saving_rank(number))))
    check_forward(reference, layer, rank, number, torch.randn(*lead, layer.in_features))


def test_modules_are_plain():
    conv = pinned(nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=2), 2, 2).apply(
        nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=2))
    )[0]
    assert [type(m) for m in conv] == [nn.Conv2d, nn.Conv2d]
    assert (conv[0].groups, conv[0].out_channels, conv[0].stride, conv[1].groups, conv[1].kernel_size) == (
        4,
        8,
        (2, 2),
        2,
        (1, 1),
    )
    assert conv[0].bias is None and conv[1].bias is not None
    linear = pinned(nn.Linear(32, 16), 2, 1).apply(nn.Sequential(nn.Linear(32, 16)))[0]
    assert [type(m) for m in linear] == [nn.Linear, nn.Linear]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_mode_and_frozen_weights_survive(dtype):
    model = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Linear(40, 20)).to(dtype).eval()
    model[0].weight.requires_grad_(False)
    model[1].train()
    small = pruners.compress(model, budget=700).apply(model)
    assert not small[0].training and small[1].training and small[1][0].training
    assert {p.dtype for p in small.parameters()} == {dtype}
    assert [p.requires_grad for p in (small[0][0].weight, small[0][1].weight, small[0][1].bias)] == [
        False,
        False,
        True,
    ]
    assert all(p.requires_grad for p in small[1].parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_device_survives(network):
    network.cuda()
    small = pruners.compress(network, keep_ratio=0.3).apply(network)
    assert {p.device.type for p in small.parameters()} == {"cuda"}
    on_cpu = pruners.compress(network.cpu(), keep_ratio=0.3)
    assert pruners.compress(network.cuda(), keep_ratio=0.3).plan == on_cpu.plan


def test_a_module_under_two_names_is_replaced_at_both():
    layer = nn.Linear(20, 20)
    model = nn.ModuleDict({"first": nn.Sequential(layer), "second": layer})
    small = pruners.compress(model, keep_ratio=0.5).apply(model)
    assert small["second"] is small["first"][0]
    assert isinstance(small["second"], nn.Sequential)
    assert pruners.compressible(model).keys() == {"first.0"}


def test_a_shared_weight_stays_dense_and_is_named():
    model = nn.ModuleDict(
        {"embed": nn.Embedding(30, 10), "head": nn.Linear(10, 30, bias=False), "free": nn.Linear(20, 20)}
    )
    model["head"].weight = model["embed"].weight
    with pytest.warns(UserWarning, match="'head'"):
        artifact = pruners.compress(model, keep_ratio=0.7)
    assert artifact.layers.keys() == {"free"}
    assert artifact.params <= artifact.budget == 490
    small = artifact.apply(model)
    assert small["head"].weight is small["embed"].weight
    with pytest.raises(pruners.UnknownLayer, match="shares its weight"):
        pruners.plan(model, keep_ratio=0.7, exclude=["head"])


def test_the_network_may_be_a_single_layer():
    layer = nn.Linear(20, 30)
    small = pruners.compress(layer, keep_ratio=0.5).apply(layer)
    assert isinstance(small, nn.Sequential) and small(torch.ones(20)).shape == (30,)


def test_computed_weights_are_left_alone():
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
    assert pruners.compressible(nn.Sequential(normed, nn.ConvTranspose2d(4, 4, 3))) == {}


def test_apply_refuses_another_network(network):
    artifact = pruners.compress(network, keep_ratio=0.3)
    other = copy.deepcopy(network)
    other[7] = nn.Linear(192, 31)
    with pytest.raises(pruners.BadArtifact, match="'7'"):
        artifact.apply(other)
    with pytest.raises(pruners.BadArtifact, match="no Conv2d or Linear"):
        artifact.apply(nn.Sequential(nn.ReLU()))
