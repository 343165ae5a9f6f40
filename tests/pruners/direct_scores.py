"""Scores of a method straight from it, in any dtype and without the rounds around it."""

import torch

from pruners.sparse.curvature.scoring_inputs import ScoringInputs
from pruners.sparse.selection.prunable import prunable


def prunable_weights(network):
    return {layer.parameter: network.get_parameter(layer.parameter) for layer in prunable(network).values()}


def scored(method, network, data, loss, seed=0, **options):
    weights = prunable_weights(network)
    alive = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    scoring_inputs = ScoringInputs(data, loss, None, torch.Generator().manual_seed(seed))
    return method.scores(network, weights, alive, scoring_inputs, method.with_defaults(options))


def assert_equal(found, expected, relative=1e-9):
    """Equal to ``relative`` of each tensor's largest entry."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=relative, atol=relative * float(tensor.abs().max())
        )
