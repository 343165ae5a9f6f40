"""OBD against loops over single samples, against the Hessian itself, and against curvature known by hand."""

import itertools

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev
from torch.nn.functional import cross_entropy, mse_loss

import pruners
from pruners.sparse.curvature.fisher_diagonal import fisher_diagonal
from pruners.sparse.curvature.hessian_diagonal import hessian_diagonal, probed
from pruners.sparse.curvature.scoring_inputs import ScoringInputs
from pruners.sparse.methods.obd import OBD
from tests.pruners.direct_scores import assert_equal, prunable_weights, scored


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def looped(network, data, loss):
    """The definition: one sample after the other, in eval mode."""
    network.eval()
    squares, count = dict.fromkeys(prunable_weights(network), 0), 0
    for inputs, labels in data:
        for i in range(len(inputs)):
            network.zero_grad()
            loss(network(inputs[i : i + 1]), labels[i : i + 1]).backward()
            count += 1
            for name, weight in prunable_weights(network).items():
                squares[name] = squares[name] + (
                    torch.zeros_like(weight) if weight.grad is None else weight.grad**2
                )
    return {
        name: weight.detach() ** 2 * squares[name] / count / 2
        for name, weight in prunable_weights(network).items()
    }


class Reused(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.idle, self.last = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.last(self.inner(self.inner(x).relu()).relu())


class Sequences(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.last = nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.embed(x.unflatten(1, (1, 5)).expand(-1, 3, -1) * x[:, :3, None]).tanh().mean(1))


class OutsideItsLayer(nn.Module):
    """A weight that is used by hand as well as by its layer."""

    def __init__(self):
        super().__init__()
        self.inner, self.last = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.last((self.inner(x) + x @ self.inner.weight).tanh())


class Crowd(nn.Module):
    """Samples of a batch that see each other."""

    def __init__(self):
        super().__init__()
        self.inner, self.last = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x):
        hidden = self.inner(x)
        return self.last((hidden - 0.5 * hidden.mean(0)).tanh())


NETWORKS = {
    "linear": lambda: nn.Sequential(nn.Linear(5, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)),
    "reused": Reused,
    "sequences": Sequences,
    "outside its layer": OutsideItsLayer,
    "crowd": Crowd,
    "1d": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 5)),
        nn.Conv1d(1, 3, 3, dilation=2, padding=2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(15, 3),
    ),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_fisher_is_the_mean_of_squared_gradients(make):
    torch.manual_seed(0)
    network = make().double()
    inputs, labels = numbers(9, 5), torch.arange(9) % 3
    data = [(inputs[:5], labels[:5]), (inputs[5:], labels[5:])]
    assert_equal(scored(OBD(), network, data, cross_entropy), looped(network, data, cross_entropy))


def test_fisher_of_convolutions_with_batchnorm(network):
    network.double()
    network[1].running_var.mul_(3)
    inputs, labels = numbers(6, 4, 8, 8), torch.arange(6)
    data = [(inputs[:4], labels[:4]), (inputs[4:], labels[4:])]
    expected = looped(network, data, cross_entropy)
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.zero_grad()
    assert_equal(scored(OBD(), network, data, cross_entropy), expected)
    assert all(module.training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_unused_layers_score_zero():
    torch.manual_seed(0)
    data = [(numbers(4, 5), torch.arange(4) % 3)]
    for diagonal in ("fisher", "hutchinson"):
        scores = scored(OBD(), Reused().double(), data, cross_entropy, diagonal=diagonal, probes=2)
        assert not scores["idle.weight"].any() and scores["inner.weight"].any()


def exact_diagonal(network, data, loss):
    """The Hessian in full, from torch.func."""
    weights = {name: weight.detach() for name, weight in prunable_weights(network).items()}
    count = sum(len(inputs) for inputs, _ in data)

    def mean_loss(weights):
        return (
            sum(
                loss(functional_call(network, weights, (inputs,)), labels) * len(inputs)
                for inputs, labels in data
            )
            / count
        )

    full = jacrev(jacrev(mean_loss))(weights)
    return {
        name: full[name][name].detach().reshape(w.numel(), w.numel()).diagonal().reshape(w.shape)
        for name, w in weights.items()
    }


def test_all_sign_vectors_average_to_the_diagonal_itself():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    data = [(numbers(5, 2), torch.arange(5) % 2)]
    weights = prunable_weights(network)
    leaves = list(weights.values())
    vectors = (
        torch.tensor(signs, dtype=torch.float64).split([6, 6])
        for signs in itertools.product((-1, 1), repeat=12)
    )
    probes = (
        [part.reshape(leaf.shape) for part, leaf in zip(vector, leaves, strict=True)] for vector in vectors
    )
    total = probed(cross_entropy(network(data[0][0]), data[0][1]), leaves, probes)
    found = {name: entry / 2**12 for name, entry in zip(weights, total, strict=True)}
    assert_equal(found, exact_diagonal(network, data, cross_entropy))


def test_many_probes_come_near_the_diagonal():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    data = [(numbers(8, 3), torch.arange(8) % 2)]
    exact = exact_diagonal(network, data, cross_entropy)
    found = hessian_diagonal(
        network, prunable_weights(network), ScoringInputs(data, cross_entropy, None, generator()), 2000
    )
    # the spread of an entry is that of its row's other entries, of which none is above 0.2, over the root of
    # 2000
    assert_equal(found, exact, relative=0.2)


def test_batches_weigh_by_their_samples():
    network, inputs = (
        nn.Linear(4, 1, bias=False).double(),
        torch.diag(torch.arange(1.0, 5.0, dtype=torch.float64)),
    )
    targets = numbers(4, 1)
    # no weight shares a sample, so that every estimate is exact
    data = [(inputs[:3], targets[:3]), (inputs[3:], targets[3:])]
    found = hessian_diagonal(
        network, prunable_weights(network), ScoringInputs(data, mse_loss, None, generator()), 1
    )
    assert_equal(found, {"weight": torch.tensor([[1.0, 4.0, 9.0, 16.0]], dtype=torch.float64) / 2})


def test_linear_regression_by_hand():
    network = nn.Linear(3, 1, bias=False).double()
    inputs = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    targets = torch.tensor([[0.0], [1.0], [-1.0]], dtype=torch.float64)
    network.weight.data = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    # loss (1/3) sum (x w - y)^2: H = (2/3) diag(x^2), and without other entries any one probe finds it
    hutchinson = scored(OBD(), network, [(inputs, targets)], mse_loss, diagonal="hutchinson", probes=1)
    assert_equal(
        hutchinson, {"weight": torch.tensor([[1.0 * 1, 4.0 * 4, 0.25 * 9]], dtype=torch.float64) / 3}
    )
    # residuals 1, -5, 2.5: squared gradients (2 r x)^2, each weight seen by one sample of three
    fisher = scored(OBD(), network, [(inputs, targets)], mse_loss)
    assert_equal(
        fisher, {"weight": torch.tensor([[1.0 * 4, 4.0 * 400, 0.25 * 225]], dtype=torch.float64) / 6}
    )


def test_what_a_negative_curvature_counts_as():
    network = nn.Linear(2, 1, bias=False).double()
    network.weight.data = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)
    data = [(torch.eye(2, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64))]

    def saddle(outputs, _labels):
        return (outputs.squeeze(1) ** 2 * signs).sum()

    expected = {"signed": [1.0, -4.0], "absolute": [1.0, 4.0], "zero": [1.0, 0.0]}
    for counts_as, scores in expected.items():
        found = scored(
            OBD(), network, data, saddle, diagonal="hutchinson", probes=1, negative_curvature=counts_as
        )
        assert found["weight"].tolist() == [scores]


def test_the_seed_decides_the_probes():
    torch.manual_seed(0)
    network, data = NETWORKS["linear"]().double(), [(numbers(4, 5), torch.arange(4) % 3)]
    first, again, other = (
        scored(OBD(), network, data, cross_entropy, seed=s, diagonal="hutchinson", probes=3)
        for s in (1, 1, 2)
    )
    assert torch.equal(first["0.weight"], again["0.weight"]) and not torch.equal(
        first["0.weight"], other["0.weight"]
    )


def test_a_loss_without_curvature_scores_zero():
    network = nn.Linear(3, 2).double()
    scores = scored(
        OBD(),
        network,
        [(numbers(4, 3), torch.zeros(4))],
        lambda outputs, _: outputs.mean(),
        diagonal="hutchinson",
    )
    assert not scores["weight"].any()


def test_float32_agrees_with_the_loop():
    torch.manual_seed(0)
    network = NETWORKS["reused"]()
    data = [(numbers(300, 5).float(), torch.arange(300) % 3)]
    given = ScoringInputs(data, cross_entropy, None, generator())
    found = fisher_diagonal(network, prunable_weights(network), given)
    expected = looped(network, data, cross_entropy)
    scores = {
        name: weight.detach() ** 2 * found[name] / 2 for name, weight in prunable_weights(network).items()
    }
    assert_equal(scores, expected, relative=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"diagonal": "fischer"}, {"probes": 0}, {"probes": True}, {"negative_curvature": "sign"}],
    ids=str,
)
def test_unknown_settings_are_refused(options):
    with pytest.raises(pruners.PrunerError, match=next(iter(options))):
        scored(
            OBD(),
            nn.Linear(3, 2),
            [(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))],
            cross_entropy,
            **options,
        )
