"""Factors refitted to calibration images: against doing it by hand, and what becomes of the artifact."""

import numpy as np
import pytest
import torch
from torch import nn

import pruners
from pruners.network.batchnorm import recalibrate_batchnorm


def images(number=96, shape=(4, 8, 8), seed=7):
    """Smooth inputs, far from white."""
    noise = torch.randn(number, *shape, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(noise, 3, 1, 1) + 0.5


def columns_of(layer, x):
    """Groups x n x positions, by unfold."""
    if isinstance(layer, nn.Linear):
        return x.reshape(1, -1, x.shape[-1]).mT.double()
    seen = nn.functional.unfold(x.double(), layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    return seen.unflatten(1, (layer.groups, -1)).permute(1, 2, 0, 3).flatten(2)


def outputs_of(layer, y):
    groups = getattr(layer, "groups", 1)
    return y.double().transpose(0, 1).flatten(1).unflatten(0, (groups, -1))


def seen_by(network, layer, x):
    """A layer's inputs and outputs in eval mode."""
    found = []
    handle = layer.register_forward_hook(lambda _m, given, output: found.append((given[0], output)))
    with torch.no_grad():
        network(x)
    handle.remove()
    return found[0]


def least_squares(encoded, wanted, with_bias):
    """The decoder of one group, and its offset."""
    ones = [np.ones((encoded.shape[1], 1))] if with_bias else []
    solution, *_ = np.linalg.lstsq(np.hstack([encoded.T.numpy(), *ones]), wanted.T.numpy(), rcond=None)
    solution = torch.from_numpy(solution.T)
    return (solution[:, :-1], solution[:, -1]) if with_bias else (solution, torch.zeros(len(solution)))


def two_layers():
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(4, 12, 3, padding=1, groups=2, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 10, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(160, 5),
    ).double()


@pytest.mark.parametrize("refit", ["layer", "sequential"])
def test_two_layers_by_hand(refit):
    """Encoders as ALDS has them, then each layer by numpy.linalg.lstsq on explicit columns."""
    dense, x = two_layers(), images().double()
    recalibrate_batchnorm(dense, [x])
    dense.eval()
    options = {"keep_ratio": 0.5, "candidate_subspaces": [2], "exclude": ["6"]}
    plain = pruners.compress(dense, "alds", **options)
    assert plain.layers.keys() == {"0", "3"}
    artifact = pruners.compress(dense, "alds", data=[x], refit=refit, ridge=0.0, **options)
    by_hand = plain.apply(dense)
    norm = by_hand[1]
    for name in ("0", "3"):
        layer = dense[int(name)]
        _, wanted = seen_by(dense, layer, x)
        source = by_hand if refit == "sequential" else dense
        given, _ = seen_by(source, source[int(name)], x)
        first, second = by_hand[int(name)]
        with torch.no_grad():
            hidden = first(given)
        groups = getattr(layer, "groups", 1)
        encoded = hidden.transpose(0, 1).flatten(1).unflatten(0, (groups, -1))
        fitted = [
            # BatchNorm after the first takes care of a constant, the second has a bias
            least_squares(h, w, with_bias=True)
            for h, w in zip(encoded, outputs_of(layer, wanted), strict=True)
        ]
        second.weight.data = torch.cat([weight for weight, _ in fitted])[:, :, None, None]
        if layer.bias is not None:
            second.bias.data = torch.cat([offset for _, offset in fitted])
        if refit == "sequential":
            norm.train()  # by the statistics of all images
    recalibrate_batchnorm(by_hand, [x])
    assert artifact.refit.kept
    with torch.no_grad():
        expected, small = by_hand.eval()(x), artifact.apply(dense).eval()
        torch.testing.assert_close(small(x), expected, rtol=0, atol=1e-7)
        log_p, log_q = dense(x).log_softmax(1), small(x).log_softmax(1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(1).mean()
    assert artifact.refit.divergence == pytest.approx(float(divergence), rel=1e-9)
    for name, error in artifact.refit.output_errors.items():
        assert 0 < error < 1, name
