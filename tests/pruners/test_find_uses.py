"""Uses of weights, whoever reads them.

Every sample's gradient, attention's Kronecker factors by hand, uses of another kind.
"""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import pruners
from pruners.sparse.curvature.find_uses import find_complete_uses, find_uses
from pruners.sparse.methods.mlprune import MLPrune
from pruners.sparse.methods.obd import OBD
from tests.pruners.attention_networks import (
    WIDTH,
    Attended,
    ByHand,
    Crossed,
    Decoder,
    Encoded,
    ParentReads,
    sentences,
    sequences,
)
from tests.pruners.direct_scores import assert_equal, prunable_weights, scored

DAMPING = 1e-2


class LengthFirst(nn.Module):
    """Attention as it is without ``batch_first``: positions come before samples."""

    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(WIDTH, 2), nn.Linear(WIDTH, 3)

    def forward(self, x):
        x = x.transpose(0, 1)
        return self.head(self.attention(x, x, x)[0].tanh().mean(0))


class Windows(nn.Module):
    """Two windows of each sample attend to themselves: the attention's batch is twice the network's."""

    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(WIDTH, 2, batch_first=True), nn.Linear(WIDTH, 3)

    def forward(self, x):
        x = torch.cat([x, -x], 1).unflatten(1, (2, -1)).flatten(0, 1)
        return self.head(self.attention(x, x, x)[0].tanh().unflatten(0, (-1, 2)).mean((1, 2)))


class Both(nn.Module):
    """One attention for a sequence by itself and then across to another.

    The packed weight is used whole and in parts.
    """

    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(WIDTH, 2, batch_first=True), nn.Linear(WIDTH, 3)

    def forward(self, x):
        own = self.attention(x, x, x)[0]
        return self.head(self.attention(own, x, x.flip(1))[0].tanh().mean(1))


class ChannelsLast(nn.Module):
    """Convolutions whose weights, and whose gradients, do not lie one row after the other."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Conv2d(2, 4, (1, 2)), nn.Linear(4, 3)
        self.to(memory_format=torch.channels_last)

    def forward(self, x):
        return self.head(self.inner(x.unflatten(2, (2, 2)).movedim(3, 1)).tanh().mean((2, 3)))


NETWORKS = {
    "channels last": ChannelsLast,
    "packed": Attended,
    "bias_kv": lambda: Attended(add_bias_kv=True, bias=False),
    "crossed": Crossed,
    "separate": lambda: Crossed(kdim=3),
    "encoder": Encoded,
    "length first": LengthFirst,
    "windows": Windows,
    "both": Both,
    "parent reads": ParentReads,
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_uses_make_every_sample_s_gradient(make):
    torch.manual_seed(0)
    network, (inputs, labels) = make().double().eval(), sequences()
    weights = prunable_weights(network)
    uses = find_complete_uses(network, weights, inputs, lambda outputs: cross_entropy(outputs, labels))
    for sample in range(len(inputs)):
        loss = cross_entropy(network(inputs[sample : sample + 1]), labels[sample : sample + 1])
        for (name, weight), gradient in zip(
            weights.items(), torch.autograd.grad(loss, list(weights.values())), strict=True
        ):
            assert all(use.samples == len(inputs) for use in uses[name])
            found = sum(use.sample_gradients(sample, sample + 1).reshape(weight.shape) for use in uses[name])
            torch.testing.assert_close(found, gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_fisher_of_attention_is_the_mean_of_squared_gradients(make):
    torch.manual_seed(0)
    network, (inputs, labels) = make().double().eval(), sequences()
    weights = prunable_weights(network)
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for sample in range(len(inputs)):
        loss = cross_entropy(network(inputs[sample : sample + 1]), labels[sample : sample + 1])
        for name, gradient in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
            squares[name] += gradient**2 / len(inputs)
    found = scored(OBD(), network, [(inputs[:4], labels[:4]), (inputs[4:], labels[4:])], cross_entropy)
    assert_equal(found, {name: weight.detach() ** 2 * squares[name] / 2 for name, weight in weights.items()})


def explicit(weight, columns, rows, samples):
    """w^2 / 2 [F^-1]_qq for blocks (o, d) of a weight with patches (uses, d) and output gradients (uses, o)
    each, damped together.
    """
    a = [c.detach().numpy().T @ c.detach().numpy() / samples for c in columns]
    g = [r.detach().numpy().T @ r.detach().numpy() / len(r) for r in rows]
    a, g = (
        [m + np.sqrt(DAMPING) * np.mean([np.trace(x) for x in ms]) / len(m) * np.eye(len(m)) for m in ms]
        for ms in (a, g)
    )
    diagonals = [
        np.diag(np.linalg.inv(np.kron(gg, aa))).reshape(len(gg), len(aa)) for gg, aa in zip(g, a, strict=True)
    ]
    return weight.detach() ** 2 / (2 * torch.from_numpy(np.concatenate(diagonals)))


@pytest.mark.parametrize("make", [Attended, Crossed], ids=["packed", "crossed"])
def test_mlprune_of_attention_against_products_by_hand(make):
    """Attention written out.

    Projections, two heads of width 2, softmax, output projection; gradients of each sample's loss.
    """
    torch.manual_seed(0)
    network, (inputs, labels) = make().double().eval(), sequences()
    attention = network.attention
    memory = network.memory(inputs).tanh() if make is Crossed else inputs
    given = inputs, memory, memory
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    projected = [x @ w.T + b for x, w, b in zip(given, weights, biases, strict=True)]
    q, k, v = (p.unflatten(-1, (2, 2)).transpose(1, 2) for p in projected)
    mixed = ((q @ k.mT / 2**0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)
    output = mixed @ attention.out_proj.weight.T + attention.out_proj.bias
    loss = cross_entropy(network.head(output.tanh().mean(1)), labels, reduction="sum")
    gradients = [gradient.flatten(0, 1) for gradient in torch.autograd.grad(loss, [*projected, output])]
    columns = [x.flatten(0, 1) for x in (*given, mixed)]
    expected = {
        "attention.in_proj_weight": explicit(
            attention.in_proj_weight, columns[:3], gradients[:3], len(inputs)
        ),
        "attention.out_proj.weight": explicit(
            attention.out_proj.weight, columns[3:], gradients[3:], len(inputs)
        ),
    }
    data = [(inputs[:4], labels[:4]), (inputs[4:], labels[4:])]
    found = scored(MLPrune(), network, data, cross_entropy, labels="empirical", damping=DAMPING)
    assert_equal({name: found[name] for name in expected}, expected)


def test_mlprune_scores_a_layer_that_is_never_called_as_if_it_were():
    torch.manual_seed(0)
    network, data = ParentReads().double(), [sequences()]
    called = nn.ModuleDict({"inner": network.inner, "head": network.head})
    called.forward = lambda x: network.head(network.inner(x).tanh().mean(1))
    found = scored(MLPrune(), network, data, cross_entropy, labels="empirical")
    assert_equal(found, scored(MLPrune(), called, data, cross_entropy, labels="empirical"))
    assert found["inner.weight"].all()


class Written(nn.Module):
    """A weight in a product that is written out, beside its layer or in its place."""

    def __init__(self, product, beside):
        super().__init__()
        self.inner, self.head, self.product, self.beside = (
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, 3),
            product,
            beside,
        )

    def forward(self, x):
        hidden = self.product(x, self.inner.weight)
        return self.head((hidden + self.inner(x) if self.beside else hidden).tanh().mean(1))


PRODUCTS = {
    "matmul": lambda x, w: x @ w,
    "einsum": lambda x, w: torch.einsum("nlf,of->nlo", x, w),
    "changed": lambda x, w: nn.functional.linear(x, w * 2),
    "a part": lambda x, w: nn.functional.pad(nn.functional.linear(x, w[:2]), (0, 2)),
}


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_a_use_of_another_kind_is_refused_with_the_layer_s_name(product, beside):
    torch.manual_seed(0)
    network, (inputs, labels) = Written(product, beside), sequences()
    given = {"data": [(inputs.float(), labels)], "loss": cross_entropy}
    with pytest.raises(pruners.PrunerError, match=r"Layer 'inner': .* Put it in exclude, or take a method"):
        pruners.compress(network, "mlprune", keep_ratio=0.5, **given)
    assert pruners.compress(network, "mlprune", keep_ratio=0.5, exclude=["inner"], **given).density == 0.5
    assert pruners.scores(network, "obd", **given)["inner.weight"].any()


def test_what_is_noted_leaves_nothing_behind():
    network, (inputs, labels) = ByHand().double(), sequences(3)
    weights = prunable_weights(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    uses = find_uses(network, weights, inputs, lambda outputs: cross_entropy(outputs, labels))
    assert {name: len(found) for name, found in uses.items()} == {"inner.weight": 1, "head.weight": 1}
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("first", ["encoder", "head"])
def test_mlprune_scores_a_tied_head_as_the_linear_that_it_is(first):
    tied, given = Decoder(first).double(), sentences()
    apart = copy.deepcopy(tied)
    apart.encoder.weight = nn.Parameter(tied.encoder.weight.detach().clone())
    found, expected = (
        scored(MLPrune(), network, given["data"], given["loss"], labels="empirical")
        for network in (tied, apart)
    )
    assert found["head.weight"].all()
    assert_equal(found, expected)
    squares = torch.zeros_like(tied.head.weight)
    for tokens, labels in zip(*given["data"][0], strict=True):
        loss = cross_entropy(tied(tokens[None]), labels[None])
        squares += torch.autograd.grad(loss, tied.head.weight)[0] ** 2 / len(given["data"][0][0])
    fisher = scored(OBD(), tied, given["data"], given["loss"])
    assert_equal(
        {"head.weight": fisher["head.weight"]}, {"head.weight": tied.head.weight.detach() ** 2 * squares / 2}
    )
