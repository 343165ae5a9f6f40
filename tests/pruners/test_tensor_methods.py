"""Tucker-2 and CP against tensorly's own reconstructions, brute force over their budgets, and their files."""

import itertools
from fractions import Fraction
from math import prod

import numpy as np
import pytest
import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorly.decomposition import parafac, partial_tucker
from torch import nn

import pruners
from pruners.testing.lowrank.networks import small_network

TENSOR_METHODS = pytest.mark.parametrize("method", ["tucker", "cp"])


@st.composite
def convolutions(draw):
    """A convolution of any stride, padding, dilation and groups, in float64, with an input for it."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = (groups * draw(st.integers(2, 5)) for _ in range(2))
    kernel = draw(st.sampled_from([(3, 3), (1, 3), (5, 1), (2, 3), (3, 2)]))
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    stride = draw(st.sampled_from([(1, 1), (2, 2), (1, 3)]))
    padding = draw(st.sampled_from([(0, 0), (1, 1), (2, 0), "same", "valid"]))
    torch.manual_seed(draw(st.integers(0, 99)))
    layer = nn.Conv2d(
        channels,
        filters,
        kernel,
        stride=(1, 1) if padding == "same" else stride,
        padding=padding,
        dilation=draw(st.sampled_from([(1, 1), (2, 1)])),
        groups=groups,
        bias=draw(st.booleans()),
        padding_mode=mode,
    ).double()
    return layer, torch.randn(2, channels, 11, 9, dtype=torch.float64)


def rebuilt(weights):
    """One group's kernel from the layers' weights by tensorly's own functions."""
    first, *middle, last = weights
    outputs, inputs = last[..., 0, 0], first[..., 0, 0].T
    with tensorly.backend_context("pytorch", local_threadsafe=True):
        if len(middle) == 1:
            return tensorly.tenalg.multi_mode_dot(middle[0], [outputs, inputs], modes=[0, 1])
        height, width = middle[0][:, 0, :, 0].T, middle[1][:, 0, 0, :].T
        return tensorly.cp_to_tensor((torch.ones(len(first)).double(), [outputs, inputs, height, width]))


def kernel_by_tensorly(layer, parts):
    groups = zip(*(part.weight.detach().chunk(layer.groups) for part in parts), strict=True)
    return torch.cat([rebuilt(weights) for weights in groups])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@TENSOR_METHODS
@settings(max_examples=10, deadline=None)
@given(convolution=convolutions(), keep_ratio=st.floats(0.3, 0.95))
@torch.no_grad()
def test_the_small_network_convolves_by_the_kernel_that_tensorly_rebuilds(method, convolution, keep_ratio):
    layer, inputs = convolution
    model = nn.Sequential(layer).eval()
    ratio = max(keep_ratio, pruners.least_budget(model, method=method))
    artifact = pruners.compress(model, method, keep_ratio=ratio)
    small = artifact.apply(model)
    if not artifact.layers:
        assert torch.equal(small(inputs), model(inputs))
        return
    kernel = kernel_by_tensorly(layer, small[0])
    torch.testing.assert_close(small[0].weight, kernel, atol=1e-9, rtol=0)
    told = artifact.layers["0"].error
    assert told == pytest.approx(float((kernel - layer.weight).norm() / layer.weight.norm()), abs=1e-9)
    layer.weight.copy_(kernel)
    torch.testing.assert_close(small(inputs), model(inputs), atol=1e-9, rtol=0)
    torch.testing.assert_close(artifact.project_back(small)(inputs), small(inputs), atol=1e-9, rtol=0)


def test_tucker_is_tensorlys(tmp_path):
    torch.manual_seed(5)
    model = nn.Sequential(nn.Conv2d(12, 16, 3)).double()
    artifact = pruners.compress(model, "tucker", keep_ratio=0.4)
    choice = artifact.layers["0"]
    assert choice.form == "tucker" and choice.rank < 16 and choice.in_rank < 12
    with tensorly.backend_context("pytorch", local_threadsafe=True):
        (core, factors), _ = partial_tucker(
            model[0].weight.detach(), (choice.rank, choice.in_rank), modes=[0, 1], n_iter_max=20, tol=1e-5
        )
        expected = tensorly.tenalg.multi_mode_dot(core, factors, modes=[0, 1])
    torch.testing.assert_close(artifact.apply(model)[0].weight, expected, atol=1e-6, rtol=0)
    assert [tuple(part.weight.shape) for part in artifact.apply(model)[0]] == [
        (choice.in_rank, 12, 1, 1),
        (choice.rank, choice.in_rank, 3, 3),
        (16, choice.rank, 1, 1),
    ]


@pytest.mark.filterwarnings("ignore:Trying to compute SVD")
def test_cp_is_tensorlys():
    torch.manual_seed(5)
    model = nn.Sequential(nn.Conv2d(6, 8, 3)).double()
    artifact = pruners.compress(model, "cp", keep_ratio=0.4, seed=3, iterations=7)
    weight, rank = model[0].weight.detach(), artifact.layers["0"].rank
    with tensorly.backend_context("pytorch", local_threadsafe=True):
        found = parafac(
            weight / weight.norm(),
            rank,
            n_iter_max=7,
            tol=1e-5,
            random_state=3,
            l2_reg=1e-10,
            linesearch=True,
        )
        expected = weight.norm() * tensorly.cp_to_tensor(found)
    torch.testing.assert_close(artifact.apply(model)[0].weight, expected, atol=1e-6, rtol=0)
    assert [tuple(part.weight.shape) for part in artifact.apply(model)[0]] == [
        (rank, 6, 1, 1),
        (rank, 1, 3, 1),
        (rank, 1, 1, 3),
        (8, rank, 1, 1),
    ]


@TENSOR_METHODS
def test_what_has_the_form_already_loses_nothing(method):
    """A kernel of one product, which rank 1 of either is: the ranks that are bought are at least that."""
    torch.manual_seed(2)
    sides = [torch.randn(n, dtype=torch.float64) for n in (10, 8, 3, 3)]
    model = nn.Sequential(nn.Conv2d(8, 10, 3)).double()
    model[0].weight.data = torch.einsum("a,b,c,d->abcd", *sides)
    assert pruners.compress(model, method, keep_ratio=0.3).error < 1e-6


def brute_force(model, method, budget):
    """The least ranks of every share, dearest within the budget, from numpy's singular values."""
    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    held, options = {}, []
    for name, layer in layers.items():
        weight = layer.weight.detach().double().numpy()
        weight = weight.reshape(*weight.shape[:2], *weight.shape[2:] or (1, 1))
        groups = getattr(layer, "groups", 1)
        weight = weight.reshape(groups, -1, *weight.shape[1:])
        held[name] = []
        for axis in (1, 2):
            unfolded = np.moveaxis(weight, axis, 1).reshape(groups, weight.shape[axis], -1)
            energy = (np.linalg.svd(unfolded, compute_uv=False) ** 2).sum(0).cumsum()
            held[name].append(energy / energy[-1])
        sides = weight.shape[1:]
        held[name].append(
            [Fraction(r, prod(sides) // max(sides)) for r in range(1, prod(sides) // max(sides) + 1)]
        )
    shares = sorted(
        set(itertools.chain(*(h[2] if method == "cp" else [*h[0], *h[1]] for h in held.values())))
    )
    for share in shares:
        total, ranks = 0, {}
        for name, layer in layers.items():
            filters, channels, *kernel = (*layer.weight.shape, 1, 1)[:4]
            groups, area = getattr(layer, "groups", 1), prod(kernel)
            if method == "cp":
                rank = (max(1, int(share * len(held[name][2]))),)
                params = rank[0] * (filters + groups * (channels + sum(kernel)))
            else:
                out, into = (
                    next(r for r, h in enumerate(h_, 1) if h >= share - 1e-13) for h_ in held[name][:2]
                )
                rank = (min(out, into * area), min(into, out * area))
                params = groups * rank[1] * (channels + area * rank[0]) + filters * rank[0]
            if area == 1:
                rank = (rank[0] if method == "cp" else out,)
                params = rank[0] * (filters + groups * channels)
            if params < layer.weight.numel():
                total, ranks = total + params, ranks | {name: rank}
            else:
                total += layer.weight.numel()
        options.append((total, ranks))
    return [ranks for total, ranks in options if total <= budget][-1]


@TENSOR_METHODS
def test_the_share_is_the_largest_within_the_budget(method):
    model = small_network()
    total = sum(layer.params for layer in pruners.compressible(model).values())
    for keep_ratio in (0.06, 0.1, 0.2, 0.35, 0.5, 0.8):
        plan = pruners.plan(model, method, keep_ratio=keep_ratio)
        ranks = {n: (c.rank, c.in_rank)[: 1 + (c.form == "tucker")] for n, c in plan.layers.items()}
        assert ranks == brute_force(model, method, int(keep_ratio * total))


@TENSOR_METHODS
def test_a_retrained_network_goes_through_files(method, tmp_path):
    model, images = small_network(), torch.randn(4, 4, 8, 8)
    artifact = pruners.compress(model, method, keep_ratio=0.3)
    small = artifact.apply(model)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    artifact.capture(small).save(tmp_path)
    loaded = pruners.load(tmp_path)
    assert torch.equal(loaded.apply(small_network())(images), small(images))
    assert loaded.layers == artifact.layers
    dense = loaded.project_back(small)
    assert str(dense) == str(model)
    torch.testing.assert_close(dense(images), small(images), atol=1e-5, rtol=1e-4)
    plain = {name: choice for name, choice in loaded.layers.items() if choice.form == "encode"}
    assert plain.keys() == {"7", "9"} & loaded.layers.keys()


def test_a_seed_draws_what_an_svd_cannot_fill():
    model = small_network()
    first, second, other = (pruners.compress(model, "cp", keep_ratio=0.5, seed=s) for s in (1, 1, 2))
    assert first.layers["0"].rank > 4
    names = first.tensors.keys()
    assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in names)
    assert not torch.equal(first.tensors["0.0.weight"], other.tensors["0.0.weight"])


def test_more_rounds_leave_a_smaller_error():
    model = small_network()
    errors = [pruners.plan(model, "cp", keep_ratio=0.5, iterations=n).layers["0"].error for n in (1, 4, 40)]
    assert errors == sorted(errors, reverse=True) and errors[0] > errors[-1] + 0.01


@TENSOR_METHODS
def test_nobody_else_notices(method):
    backend, drawn = tensorly.get_backend(), torch.random.get_rng_state().tolist()
    pruners.compress(small_network(), method, keep_ratio=0.3)
    assert tensorly.get_backend() == backend
    assert torch.random.get_rng_state().tolist() == drawn


@TENSOR_METHODS
def test_no_refit_and_no_budget_in_time(method):
    model, images = small_network(), torch.randn(40, 4, 8, 8)
    with pytest.raises(pruners.UnknownOption, match="refit"):
        pruners.compress(model, method, keep_ratio=0.3, data=images, refit="layer")
    assert not pruners.methods()[method].wants_data({})
    with pytest.raises(pruners.PrunerError, match=f"Method {method} takes no budget in time"):
        pruners.compress(model, method, latency_ms=1000.0, example=images)
    with pytest.raises(pruners.PrunerError, match=f"Method {method} takes no budget in time"):
        pruners.least_budget(model, "latency_ms", method=method, example=images)
