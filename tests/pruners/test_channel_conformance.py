"""What every method that removes channels must hold to.

A new one is tested here without another line.
"""

import copy

import pytest
import torch

import pruners
from tests.pruners.channel_networks import NETWORKS, Residual, given, images, made

METHODS = pytest.mark.parametrize("method", [n for n, m in pruners.methods().items() if m.kind == "channels"])
EVERY = pytest.mark.parametrize("factory", NETWORKS)


def compressed(factory, method, **asked):
    """The network, and the artifact or nothing where the method cannot score it."""
    network = made(factory)
    if method == "bn_scale" and not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()):
        pytest.skip("there is no BatchNorm")
    return network, pruners.compress(network, method, **given(), **asked)


def zeros_in_removed_places(network, artifact):
    masked = copy.deepcopy(network)
    tensors = dict(masked.named_parameters()) | dict(masked.named_buffers())
    for name, of_tensor in artifact.kept.items():
        for dim, index in of_tensor.items():
            gone = [i for i in range(tensors[name].shape[dim]) if i not in index.tolist()]
            tensors[name].data.index_fill_(dim, torch.tensor(gone, dtype=torch.long), 0)
    return masked


@METHODS
@EVERY
@pytest.mark.parametrize("ratio", [0.7, 0.4])
def test_pruned_is_masked(method, factory, ratio):
    network, artifact = compressed(factory, method, keep_ratio=ratio)
    small, masked = artifact.apply(network), zeros_in_removed_places(network, artifact)
    assert artifact.kept
    with torch.no_grad():
        torch.testing.assert_close(small(images(3)), masked(images(3)), rtol=1e-5, atol=1e-5)


@METHODS
def test_same_answer_every_time(method):
    _, first = compressed(Residual, method, keep_ratio=0.5, seed=3)
    _, second = compressed(Residual, method, keep_ratio=0.5, seed=3)
    assert first.described() == second.described()
    assert str(first.kept) == str(second.kept)
