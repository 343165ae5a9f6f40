"""What the tests of score methods share.

One scoring by hand, and networks small enough for full Hessians and finite differences.
"""

import torch
from torch import nn

from pruners.sparse.curvature.scoring_inputs import ScoringInputs
from pruners.sparse.selection.prunable import prunable


def weights_of(network):
    return {layer.parameter: network.get_parameter(layer.parameter) for layer in prunable(network).values()}


def scored(method, network, *, data=(), loss=None, example=None, seed=0, **options):
    """One scoring of a network that is prepared already."""
    weights = weights_of(network)
    alive = {name: weight.detach() != 0 for name, weight in weights.items()}
    scoring_inputs = ScoringInputs(data, loss, example, torch.Generator().manual_seed(seed))
    return method.scores(network, weights, alive, scoring_inputs, method.with_defaults(options))


def tiny_network(seed=0):
    """Convolutions with and without bias, stride, groups, BatchNorm, Linears.

    Smooth, float64, with running statistics that matter.
    """
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(2, 3, 2, bias=False),
        nn.BatchNorm2d(3),
        nn.Softplus(),
        nn.Conv2d(3, 3, 2, stride=2, padding=1, groups=3),
        nn.BatchNorm2d(3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(12, 6),
        nn.Softplus(),
        nn.Linear(6, 3, bias=False),
    ).double()
    for module in network:
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.3, 1.7)
    return network


def tiny_data(samples=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, 2, 4, 4, generator=generator, dtype=torch.float64), torch.arange(
        samples
    ) * 3 // samples


def close(scores, expected, rtol=1e-9):
    """Agreement relative to each layer's largest score."""
    assert scores.keys() == expected.keys()
    for name, score in scores.items():
        assert score.shape == expected[name].shape
        assert expected[name].abs().max() > 0
        torch.testing.assert_close(
            score, expected[name], rtol=rtol, atol=rtol * float(expected[name].abs().max())
        )
