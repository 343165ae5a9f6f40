"""MLPrune against Kronecker products that are built and inverted in full."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss, unfold

import pruners
from pruners.sparse.curvature.find_uses import find_uses
from pruners.sparse.methods.mlprune import MLPrune
from tests.pruners.direct_scores import assert_equal, scored

DAMPING = 1e-2


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def explicit(weight, columns, rows, samples, damping=DAMPING):
    """w^2 / 2 [F^-1]_qq from patches (uses, d) and output gradients (uses, o), by np.kron and linalg.inv."""
    columns, rows = columns.detach().numpy(), rows.detach().numpy()
    a, g = columns.T @ columns / samples, rows.T @ rows / len(rows)
    a, g = (m + np.sqrt(damping) * np.trace(m) / len(m) * np.eye(len(m)) for m in (a, g))
    diagonal = np.diag(np.linalg.inv(np.kron(g, a))).reshape(len(g), len(a))
    return weight.detach().flatten(1) ** 2 / (2 * torch.from_numpy(diagonal.copy()))


class Traced(nn.Module):
    """A network that remembers what its first layer was given and gave."""

    def __init__(self, first, *rest):
        super().__init__()
        self.first, self.rest = first, nn.Sequential(*rest)

    def forward(self, x):
        self.given, self.gave = x, self.first(x)
        return self.rest(self.gave.clone())

    def factors(self, inputs, targets):
        """Inputs and, for each sample alone, the gradient of its loss in the first layer's output."""
        gradients = []
        for i in range(len(inputs)):
            loss = mse_loss(self(inputs[i : i + 1]), targets[i : i + 1])
            gradients.append(torch.autograd.grad(loss, self.gave)[0])
        return torch.cat(gradients)


def regressed(network, inputs, targets, **options):
    data = [(inputs[:4], targets[:4]), (inputs[4:], targets[4:])]
    return scored(MLPrune(), network, data, mse_loss, **{"labels": "empirical", "damping": DAMPING} | options)


def test_linear_against_the_full_kronecker_product():
    torch.manual_seed(0)
    network = Traced(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    inputs, targets = numbers(7, 4), numbers(7, 2, seed=1)
    gradients = network.factors(inputs, targets)
    expected = explicit(network.first.weight, inputs, gradients, 7)
    assert_equal(
        {"first.weight": regressed(network, inputs, targets)["first.weight"]}, {"first.weight": expected}
    )


CONVOLUTIONS = {
    "plain": {"kernel_size": 3},
    "strides and padding": {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 2)},
    "dilation": {"kernel_size": 2, "dilation": (2, 1), "padding": 1},
    "without bias": {"kernel_size": 3, "bias": False},
    "groups": {"kernel_size": 3, "groups": 2, "padding": 1},
    "depthwise": {"kernel_size": 3, "groups": 4, "stride": 2},
}


@pytest.mark.parametrize("settings", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions_against_the_full_kronecker_product(settings):
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 4, **settings)
    network = Traced(layer, nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(2)).double()
    inputs, targets = numbers(6, 4, 5, 6), numbers(6, 2, seed=1)
    network(inputs)
    gradients = network.factors(inputs, targets)
    patches = unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride).transpose(1, 2)
    parts = []
    for group in range(layer.groups):
        columns = patches.chunk(layer.groups, dim=2)[group].flatten(0, 1)
        rows = gradients.chunk(layer.groups, dim=1)[group].flatten(2).transpose(1, 2).flatten(0, 1)
        parts.append((layer.weight.chunk(layer.groups)[group], columns, rows))
    found = regressed(network, inputs, targets)["first.weight"]
    # each group is damped by the mean over all groups' eigenvalues, which np.trace of one would not give
    a = np.stack([c.T @ c / 6 for _, c, _ in parts])
    g = np.stack([r.T @ r / len(r) for *_, r in parts])
    a, g = (
        m + np.sqrt(DAMPING) * np.trace(m, axis1=1, axis2=2).mean() / m.shape[1] * np.eye(m.shape[1])
        for m in (a, g)
    )
    for group, (weight, *_) in enumerate(parts):
        diagonal = np.diag(np.linalg.inv(np.kron(g[group], a[group]))).reshape(len(g[group]), -1)
        expected = (weight.detach().flatten(1) ** 2 / (2 * torch.from_numpy(diagonal.copy()))).reshape(
            weight.shape
        )
        torch.testing.assert_close(found.chunk(layer.groups)[group], expected, rtol=1e-9, atol=0)


OTHER_KINDS = {
    "1d": (nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 7)),
    "3d": (nn.Conv3d(2, 2, 2), (2, 3, 3, 4)),
    "circular": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 4, 4)),
    "same": (nn.Conv2d(2, 3, (3, 5), dilation=(2, 1), padding="same"), (2, 4, 4)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (4, 3, 3)),
    "sequences": (nn.Linear(3, 4), (5, 3)),
}


@pytest.mark.parametrize("layer, shape", OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_rows_and_columns_make_each_sample_s_gradient(layer, shape):
    layer = layer.double()
    inputs = numbers(3, *shape)
    (use,) = find_uses(layer, {"weight": layer.weight}, inputs, lambda outputs: outputs.sin().sum() / 3)[
        "weight"
    ]
    for sample in range(3):
        (expected,) = torch.autograd.grad(layer(inputs[sample : sample + 1]).sin().sum(), layer.weight)
        found = use.sample_gradients(sample, sample + 1).reshape(expected.shape)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_one_sample_by_hand():
    network = nn.Linear(2, 1, bias=False).double()
    network.weight.data = torch.tensor([[3.0, -1.0]], dtype=torch.float64)
    inputs, target = (
        torch.tensor([[1.0, 2.0]], dtype=torch.float64),
        torch.tensor([[-1.0]], dtype=torch.float64),
    )
    # output 1, gradient 2 * (1 - -1) = 4: G = 16 (1 + s); A = [[1, 2], [2, 4]] + s * 2.5 with s =
    # sqrt(damping)
    s = DAMPING**0.5
    one, four = 1 + 2.5 * s, 4 + 2.5 * s
    determinant = one * four - 4
    expected = (
        torch.tensor([[9 / (2 * four / determinant), 1 / (2 * one / determinant)]], dtype=torch.float64)
        * 16
        * (1 + s)
    )
    scores = scored(MLPrune(), network, [(inputs, target)], mse_loss, labels="empirical", damping=DAMPING)
    assert_equal(scores, {"weight": expected})


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.idle = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.inner(self.inner(x).tanh())


def test_a_layer_that_runs_twice_has_more_positions_and_one_that_never_runs_no_score():
    torch.manual_seed(0)
    network = Twice().double()
    inputs, targets = numbers(6, 3), numbers(6, 3, seed=1)
    hidden = network.inner(inputs)
    outputs = network.inner(hidden.tanh())
    gradients = torch.autograd.grad(mse_loss(outputs, targets) * 6, [hidden, outputs])
    expected = explicit(network.inner.weight, torch.cat([inputs, hidden.tanh()]), torch.cat(gradients), 6)
    scores = regressed(network, inputs, targets)
    assert_equal(scores, {"inner.weight": expected, "idle.weight": torch.zeros(3, 3, dtype=torch.float64)})


def test_sampled_labels_come_from_the_network_itself():
    network = nn.Linear(2, 3).double()
    network.weight.data.zero_()
    network.bias.data = torch.tensor([200.0, 0.0, 0.0], dtype=torch.float64)  # as good as sure of class 0
    network.weight.data[0, 0] = 1.0
    inputs = numbers(8, 2)
    certain = [(inputs, torch.zeros(8, dtype=torch.long))]
    wrong = [(inputs, torch.ones(8, dtype=torch.long))]
    settings = {"damping": DAMPING}
    # a sure network sees no gradient at its own labels, whatever the data say
    assert_equal(
        scored(MLPrune(), network, wrong, cross_entropy, **settings),
        scored(MLPrune(), network, certain, cross_entropy, **settings),
    )
    assert (
        scored(MLPrune(), network, wrong, cross_entropy, labels="empirical", **settings)["weight"].max()
        > 1e-3
    )


def test_the_seed_draws_the_labels(network, batch):
    data = [(batch, torch.tensor([1, 2]))]
    first, again, other = (scored(MLPrune(), network, data, cross_entropy, seed=seed) for seed in (1, 1, 3))
    assert_equal(first, again, relative=0)
    assert not torch.equal(first["9.weight"], other["9.weight"])


def test_labels_of_every_pixel_are_drawn():
    torch.manual_seed(0)
    network = nn.Conv2d(2, 3, 1).double()
    scores = scored(
        MLPrune(), network, [(numbers(4, 2, 3, 3), torch.zeros(4, 3, 3, dtype=torch.long))], cross_entropy
    )
    assert scores["weight"].shape == network.weight.shape and (scores["weight"] > 0).all()


def test_the_network_stays_as_it_was(network, batch):
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    scored(MLPrune(), network, [(batch, torch.tensor([1, 2]))], cross_entropy)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(module.training and not module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_layer_behind_a_dead_one_has_no_curvature():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    network[0].bias.data.fill_(-100)
    scores = scored(MLPrune(), network, [(numbers(5, 3), numbers(5, 2))], mse_loss, labels="empirical")
    assert not scores["0.weight"].any() and not scores["2.weight"].any()


def test_settings_and_data_that_cannot_work_are_refused():
    network, inputs = nn.Linear(3, 2).double(), numbers(4, 3)
    data = [(inputs, torch.zeros(4, dtype=torch.long))]
    for options in ({"labels": "true"}, {"damping": -1.0}, {"damping": float("nan")}, {"damping": True}):
        with pytest.raises(pruners.PrunerError, match=next(iter(options))):
            scored(MLPrune(), network, data, cross_entropy, **options)
    with pytest.raises(pruners.PrunerError, match="empirical"):
        scored(MLPrune(), network, [(inputs, numbers(4, 2))], mse_loss)
    with pytest.raises(pruners.PrunerError, match=r"'weight'|Layer .*damping"):
        scored(MLPrune(), nn.Sequential(network), data, cross_entropy, damping=0)
    infinite = [(inputs * float("inf"), data[0][1])]
    with pytest.raises(pruners.PrunerError, match="not finite"):
        scored(MLPrune(), network, infinite, cross_entropy)
