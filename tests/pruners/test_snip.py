"""SNIP against finite differences in a mask; BatchNorm's two modes; iterative SNIP's rounds."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import pruners
from pruners.sparse.methods.iterative_snip import IterativeSNIP
from pruners.sparse.methods.snip import SNIP
from tests.pruners.scoring import close, scored, tiny_data, tiny_network, weights_of


def by_finite_differences(network, loss_of, step):
    """|dL(c w)/dc| at c = 1 of every weight: central differences of fourth order, L(c w) evaluated for one
    changed c after another.
    """
    expected = {}
    with torch.no_grad():
        for name, weight in weights_of(network).items():
            flat, slopes = weight.view(-1), []
            for n, own in enumerate(flat.tolist()):
                values = []
                for c in (1 - 2 * step, 1 - step, 1 + step, 1 + 2 * step):
                    flat[n] = own * c
                    values.append(float(loss_of(network)))
                flat[n] = own
                slopes.append(abs(values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step))
            expected[name] = torch.tensor(slopes, dtype=torch.float64).view_as(weight)
    return expected


@pytest.mark.parametrize("bn", ["train", "eval"])
def test_snip_is_the_slope_in_a_mask(bn):
    network, (inputs, labels) = tiny_network(), tiny_data()
    scores = scored(SNIP(), network, data=[(inputs, labels)], loss=cross_entropy, bn=bn)
    reference = copy.deepcopy(network).train(bn == "train")
    close(scores, by_finite_differences(reference, lambda net: cross_entropy(net(inputs), labels), 2e-3))


def test_by_hand():
    network = nn.Linear(3, 1, bias=False).double()
    network.weight.data = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    inputs, wanted = (
        torch.tensor([[1.0, 1.0, 2.0]], dtype=torch.float64),
        torch.zeros(1, 1, dtype=torch.float64),
    )
    # the output is 1 - 2 + 1 = 0 and the target 1, so dL/dw = 2 (0 - 1) x
    scores = scored(SNIP(), network, data=[(inputs, wanted + 1)], loss=mse_loss)
    assert scores["weight"].tolist() == [[2.0, 4.0, 2.0]]


def test_batches_count_by_their_size():
    network, (inputs, labels) = tiny_network(), tiny_data(7)
    parts = [(inputs[:5], labels[:5]), (inputs[5:], labels[5:])]
    whole = scored(SNIP(), network, data=[(inputs, labels)], loss=cross_entropy, bn="eval")
    close(scored(SNIP(), network, data=parts, loss=cross_entropy, bn="eval"), whole)


@pytest.mark.parametrize("mode", [True, False])
def test_batchnorm_modes_differ_and_leave_the_network_as_it_was(mode):
    network, batch = tiny_network().train(mode), tiny_data()
    before = copy.deepcopy(network.state_dict())
    train, evaluated = (
        scored(SNIP(), network, data=[batch], loss=cross_entropy, bn=bn) for bn in ("train", "eval")
    )
    assert all((train[name] - evaluated[name]).abs().max() > 1e-3 * train[name].max() for name in train)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(
        module.training == mode and getattr(module, "track_running_stats", True)
        for module in network.modules()
    )
    assert all(parameter.grad is None for parameter in network.parameters())


def test_dropout_stays_off():
    network = nn.Sequential(nn.Dropout(0.5), tiny_network()).train()
    data = [tiny_data()]
    first, second = (scored(SNIP(), network, data=data, loss=cross_entropy) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("method", "options"), [("snip", {}), ("iterative_snip", {"rounds": 1})])
def test_unknown_mode_is_named(method, options):
    with pytest.raises(pruners.PrunerError, match=r"bn 'evil' is unknown; did you mean 'eval'\?"):
        pruners.compress(
            tiny_network(),
            method,
            keep_ratio=0.5,
            data=[tiny_data()],
            loss=cross_entropy,
            bn="evil",
            **options,
        )


def test_a_loss_that_is_no_number_is_an_error():
    with pytest.raises(pruners.PrunerError, match=r"loss must give one number .* shape \(6,\)"):
        scored(
            SNIP(),
            tiny_network(),
            data=[tiny_data()],
            loss=lambda out, y: cross_entropy(out, y, reduction="none"),
        )


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 2),
    st.integers(1, 2),
    st.integers(1, 3),
)
def test_shapes(inputs, outputs, kernel, groups, padding, stride, samples):
    torch.manual_seed(0)
    conv = nn.Conv2d(groups * inputs, groups * outputs, kernel, stride, padding, groups=groups)
    network = nn.Sequential(conv, nn.Flatten(), nn.LazyLinear(2))
    images = torch.randn(samples, groups * inputs, 4, 5)
    network(images)
    network.double()
    batch = (images.double(), torch.zeros(samples, dtype=torch.long))
    scores = scored(SNIP(), network, data=[batch], loss=cross_entropy)
    cross_entropy(network(batch[0]), batch[1]).backward()
    close(
        scores, {name: (weight * weight.grad).abs().detach() for name, weight in weights_of(network).items()}
    )


def test_one_round_of_iterative_snip_is_snip():
    network, data = tiny_network(), [tiny_data()]
    once = pruners.compress(network, "snip", keep_ratio=0.3, data=data, loss=cross_entropy)
    single = pruners.compress(
        network, "iterative_snip", keep_ratio=0.3, data=data, loss=cross_entropy, rounds=1
    )
    many = pruners.compress(
        network, "iterative_snip", keep_ratio=0.3, data=data, loss=cross_entropy, rounds=20
    )
    assert all(torch.equal(once.masks[name], single.masks[name]) for name in once.masks)
    assert any(not torch.equal(once.masks[name], many.masks[name]) for name in once.masks)
    assert once.params == many.params


def test_iterative_snip_scores_the_masked_network():
    network, data = tiny_network(), [tiny_data()]
    with torch.no_grad():
        network[7].weight[:, :6] = 0
    scores = scored(IterativeSNIP(), network, data=data, loss=cross_entropy)
    close(scores, scored(SNIP(), network, data=data, loss=cross_entropy))
    assert not scores["7.weight"][:, :6].any()
    assert IterativeSNIP().with_defaults({})["rounds"] == 100


def test_scores_in_inference_mode_are_the_same():
    network, data = tiny_network(), [tiny_data()]
    expected = pruners.scores(network, "snip", data=data, loss=cross_entropy)
    with torch.inference_mode():
        scores = pruners.scores(network, "snip", data=data, loss=cross_entropy)
    assert all(torch.equal(scores[name], expected[name]) for name in expected)
