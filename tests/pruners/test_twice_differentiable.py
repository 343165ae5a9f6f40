"""The convolutions and BatchNorm that GraSP differentiates twice: same values, right first and second derivatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from pruners.sparse.batchnorm_gradients import BatchNorm
from pruners.sparse.batchnorm_mode import batchnorm_mode
from pruners.sparse.convolution_gradients import Convolution
from pruners.sparse.twice_differentiable import TwiceDifferentiable

CONV = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_convolutions(data):
    dims, groups = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    stride, padding, dilation = ([data.draw(st.integers(low, 2)) for _ in range(dims)] for low in (1, 0, 1))
    inputs = random(2, 2 * groups, *[data.draw(st.integers(3, 4)) for _ in range(dims)])
    weight = random(2 * groups, 2, *[data.draw(st.integers(1, 2)) for _ in range(dims)], seed=1)
    bias = random(2 * groups, seed=2) if data.draw(st.booleans()) else None

    def convolved(inputs, weight, bias):
        return CONV[dims](inputs, weight, bias, stride, padding, dilation, groups)

    with TwiceDifferentiable():
        own = convolved(inputs, weight, bias)
        assert isinstance(own.grad_fn, Convolution._backward_cls)
        assert gradcheck(convolved, (inputs, weight, bias))
        assert gradgradcheck(convolved, (inputs, weight, bias))
    assert torch.equal(own, convolved(inputs, weight, bias))


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (3, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("affine", [True, False])
def test_batchnorm(shape, affine):
    norm = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](shape[1], affine=affine).double()
    if affine:
        nn.init.uniform_(norm.weight, -2, 2, generator=torch.Generator().manual_seed(3))
        nn.init.uniform_(norm.bias, -2, 2, generator=torch.Generator().manual_seed(4))
    inputs = random(*shape)
    with batchnorm_mode(norm, "train"), TwiceDifferentiable():
        own = norm(inputs)
        assert isinstance(own.grad_fn, BatchNorm._backward_cls)
        assert gradcheck(norm, (inputs,))
        assert gradgradcheck(norm, (inputs,))
    assert torch.equal(own, norm(inputs))


def test_running_statistics_are_left_to_torch():
    norm, inputs = nn.BatchNorm1d(3).double(), random(5, 3)
    with TwiceDifferentiable():
        norm(inputs)
    torch.testing.assert_close(norm.running_mean, 0.1 * inputs.mean(0), rtol=1e-12, atol=0)


def test_a_single_value_a_channel_is_torch_s_error():
    norm = nn.BatchNorm1d(3).double()
    with batchnorm_mode(norm, "train"), TwiceDifferentiable(), pytest.raises(ValueError, match="more than 1 value per channel"):
        norm(random(1, 3))


def test_other_forms_of_a_convolution_are_left_to_torch():
    inputs, weight = random(2, 2, 5, 5), random(3, 2, 3, 3, seed=1)
    with TwiceDifferentiable():
        same, single = torch.conv2d(inputs, weight, padding="same"), torch.conv2d(inputs[0], weight, None, 1, 1)
        named = torch.conv2d(input=inputs, weight=weight, padding=1)
    assert torch.equal(same[0], single) or torch.allclose(same[0], single, rtol=1e-12, atol=0)
    assert torch.equal(same, named)
