"""SynFlow: conserved layer by layer and neuron by neuron, an analytic value, 100 rounds, overflow."""

import copy
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.sparse.methods.synflow import SynFlow
from tests.pruners.scoring import close, scored, tiny_network, weights_of


def synflow(network, example, **options):
    method = SynFlow()
    prepared = method.prepared(copy.deepcopy(network), method.with_defaults(options))
    for weight in weights_of(prepared).values():
        weight.requires_grad_()
    return scored(method, prepared, example=example, **options)


def chain(*widths):
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b, bias=False), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=3, max_size=6), st.integers(0, 2**16))
def test_conserved_by_layer_and_by_neuron(widths, seed):
    torch.manual_seed(seed)
    scores = list(synflow(chain(*widths), torch.zeros(1, widths[0])).values())
    for score, following in pairwise(scores):
        torch.testing.assert_close(score.sum(), following.sum(), rtol=1e-9, atol=0)
        torch.testing.assert_close(score.sum(dim=1), following.sum(dim=0), rtol=1e-9, atol=1e-15)


def test_conserved_through_convolutions_and_pooling():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24, 5, bias=False),
    )
    first, second, third = synflow(network, torch.zeros(3, 2, 8, 8)).values()
    for one, other in ((first, second), (second, third)):
        torch.testing.assert_close(one.sum(), other.sum(), rtol=1e-9, atol=0)
    torch.testing.assert_close(first.sum(dim=(1, 2, 3))[:2].sum(), second[:3].sum(), rtol=1e-9, atol=0)


def test_analytic_value_of_a_linear_chain():
    """R = 1' |C| |B| |A| 1, so dR/dB = (|C|' 1) (|A| 1)'."""
    torch.manual_seed(4)
    network = chain(3, 5, 4, 2).double()
    a, b, c = (weight.detach().abs() for weight in weights_of(network).values())
    expected = [a * (c @ b).sum(0)[:, None], b * c.sum(0)[:, None] * a.sum(1), c * (b @ a).sum(1)]
    close(synflow(network, torch.zeros(1, 3)), dict(zip(weights_of(network), expected, strict=True)))


def test_buffers_are_absolute_and_batchnorm_is_in_eval_mode():
    torch.manual_seed(0)
    network = (
        nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2, eps=0.0), nn.Linear(2, 1, bias=False))
        .double()
        .train()
    )
    network[1].running_mean.copy_(torch.tensor([-0.1, 0.1]))
    network[1].running_var.copy_(torch.tensor([4.0, 0.25]))
    network[1].weight.data.copy_(torch.tensor([-3.0, 2.0]))
    gain = torch.tensor([3.0 / 2, 2.0 / 0.5], dtype=torch.float64)
    first, last = (weight.detach().abs() for weight in weights_of(network).values())
    hidden = (first.sum(1) - 0.1) * gain
    expected = {"0.weight": first * (last.flatten() * gain)[:, None], "2.weight": last * hidden}
    close(synflow(network, torch.zeros(1, 2)), expected)


def test_scores_are_in_float64_unless_told():
    network = tiny_network().float()
    example = torch.zeros(1, 2, 4, 4)
    assert all(score.dtype == torch.float64 for score in synflow(network, example).values())
    assert all(score.dtype == torch.float32 for score in synflow(network, example, dtype="own").values())
    close(
        {n: s.double() for n, s in synflow(network, example, dtype="own").items()},
        synflow(network, example),
        rtol=1e-4,
    )


def deep(gain):
    network = chain(*[32] * 25)
    for weight in weights_of(network).values():
        nn.init.constant_(weight, gain)
    return network


def test_overflow_is_reported_with_the_remedy():
    example = torch.zeros(1, 32)
    with pytest.raises(pruners.PrunerError, match=r"overflowed in float32: use dtype='float64'"):
        pruners.compress(deep(3.0), "synflow", keep_ratio=0.5, example=example, dtype="own")
    with pytest.raises(pruners.PrunerError, match="overflowed in float64: even float64"):
        pruners.compress(deep(1e15), "synflow", keep_ratio=0.5, example=example)
    assert pruners.compress(deep(3.0), "synflow", keep_ratio=0.5, example=example).density == 0.5


def test_a_hundred_rounds_empty_no_layer_where_one_does():
    torch.manual_seed(0)
    network, example = chain(64, 96, 8, 96, 10), torch.zeros(1, 64)
    assert not pruners.compress(network, "synflow", keep_ratio=0.02, example=example).empty_layers
    with pytest.warns(pruners.PrunerWarning):
        assert pruners.compress(network, "synflow", keep_ratio=0.02, example=example, rounds=1).empty_layers


def test_unknown_dtype_is_named():
    with pytest.raises(pruners.PrunerError, match=r"dtype 'float63' is unknown; did you mean 'float64'\?"):
        pruners.compress(
            tiny_network(), "synflow", keep_ratio=0.5, example=torch.zeros(1, 2, 4, 4), dtype="float63"
        )
