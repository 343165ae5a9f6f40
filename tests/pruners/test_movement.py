"""Movement and gradient magnitude: signs, weighting by batch size, and a network left as it was."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from pruners.sparse.methods.gradient_magnitude import GradientMagnitude
from pruners.sparse.methods.movement import Movement
from tests.pruners.direct_scores import prunable_weights, scored


@pytest.fixture
def uneven(network):
    network.double().train()
    inputs = torch.randn(7, 4, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.arange(7)
    return network, [(inputs[:5], labels[:5]), (inputs[5:], labels[5:])]


def test_movement_is_positive_where_a_step_leads_away_from_zero():
    network = nn.Linear(4, 1, bias=False).double()
    start = torch.tensor([[1.0, -1.0, 1.0, -1.0]], dtype=torch.float64)
    network.weight.data = start.clone()
    wanted = torch.tensor([[2.0, -2.0, 0.5, -0.5]], dtype=torch.float64)
    inputs = torch.eye(4, dtype=torch.float64)
    scores = scored(Movement(), network, [(inputs, inputs @ wanted.T)], mse_loss)["weight"]
    # the loss is the mean over four samples of (w - wanted)^2
    torch.testing.assert_close(scores, -start * 2 * (start - wanted) / 4, rtol=1e-12, atol=0)
    assert scores.sign().tolist() == [[1, 1, -1, -1]]
    with torch.no_grad():
        network.weight -= 0.1 * 2 * (start - wanted) / 4
    assert torch.equal(network.weight.abs() > start.abs(), scores > 0)


def test_uneven_batches_weigh_by_their_samples(uneven):
    network, data = uneven
    joined = [(torch.cat([inputs for inputs, _ in data]), torch.cat([labels for _, labels in data]))]
    for method in (Movement(), GradientMagnitude()):
        apart, together = (
            scored(method, network, data, cross_entropy),
            scored(method, network, joined, cross_entropy),
        )
        for name, score in together.items():
            torch.testing.assert_close(apart[name], score, rtol=1e-9, atol=1e-15)


def test_scores_are_the_formulas_of_autograd_s_gradient(uneven):
    network, data = uneven
    movement, magnitude = (
        scored(method, network, data[:1], cross_entropy) for method in (Movement(), GradientMagnitude())
    )
    network.eval()
    cross_entropy(network(data[0][0]), data[0][1]).backward()
    for name, weight in prunable_weights(network).items():
        torch.testing.assert_close(movement[name], -weight.detach() * weight.grad, rtol=1e-9, atol=1e-18)
        torch.testing.assert_close(magnitude[name], weight.grad.abs(), rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("method", [Movement(), GradientMagnitude()], ids=lambda method: method.name)
def test_the_network_stays_as_it_was(method, uneven):
    network, data = uneven
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    scored(method, network, data, cross_entropy)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert modes == [module.training for module in network.modules()]
    assert all(parameter.grad is None for parameter in network.parameters())


def test_an_unused_layer_scores_zero_and_a_reused_one_by_the_sum_of_both():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)

        def forward(self, x):
            return self.used(self.used(x))

    network = Twice().double()
    inputs = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    labels = torch.zeros(6, 3, dtype=torch.float64)
    scores = scored(GradientMagnitude(), network, [(inputs, labels)], mse_loss)
    weight = network.used.weight.detach()
    outer = 2 * (inputs @ weight.T @ weight.T) / inputs.numel()
    expected = outer.T @ (inputs @ weight.T) + (outer @ weight).T @ inputs
    torch.testing.assert_close(scores["used.weight"], expected.abs(), rtol=1e-9, atol=1e-15)
    assert not scores["unused.weight"].any()
