"""What takes care of a constant offset of a layer's outputs: where these go, and what it is worth."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pruners
from pruners.calibration.layer_calls import layer_calls
from pruners.network.batchnorm import recalibrate_batchnorm


def images() -> Tensor:
    return torch.rand(48, 3, 6, 6, generator=torch.manual_seed(5)) + 1


class Flow(nn.Module):
    """(n, 3, 6, 6) to class scores, by what ``flow`` does with convolutions and BatchNorms."""

    def __init__(self, flow: Callable[["Flow", Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.other = (nn.Conv2d(3, 16, 3, padding=1, bias=False) for _ in range(2))
        self.norm, self.second = nn.BatchNorm2d(16), nn.BatchNorm2d(16)
        self.of_batch = nn.BatchNorm2d(16, track_running_stats=False)
        self.flow = flow

    def forward(self, x: Tensor) -> Tensor:
        return self.flow(self, x).relu().mean((2, 3))


def also_skipped(net: Flow, x: Tensor) -> Tensor:
    """As the first block of a PreActResNet does with the stem's outputs."""
    made = net.conv(x)
    return net.norm(made).relu() + made


def changed_in_place(net: Flow, x: Tensor) -> Tensor:
    made = net.conv(x)
    made[:, :, 0] += 1
    return net.norm(made)


def looked_at(net: Flow, x: Tensor) -> Tensor:
    made = net.conv(x)
    assert made.shape[1] == 16 and made.is_floating_point() and made.dim() == 4
    return net.norm(made)


def read_twice(net: Flow, x: Tensor) -> Tensor:
    made = net.conv(x)
    return net.norm(made).relu() + net.second(made).sigmoid()


@torch.inference_mode()
def in_inference_mode(net: Flow, x: Tensor) -> Tensor:
    return net.norm(net.conv(x))


# all outputs go into BatchNorm alone, the BatchNorms to be set, and whether there is one scale
FLOWS: dict[str, tuple[Callable[[Flow, Tensor], Tensor], bool, list[str], bool]] = {
    "BatchNorm": (lambda net, x: net.norm(net.conv(x)).relu(), True, ["norm"], True),
    "BatchNorm, its shape read": (looked_at, True, ["norm"], True),
    "another BatchNorm after it": (lambda net, x: net.second(net.norm(net.conv(x))), True, ["norm"], True),
    "twice": (lambda net, x: net.norm(net.conv(x)) + net.norm(net.conv(x.flip(0))), True, ["norm"], True),
    "one for each level": (
        lambda net, x: net.norm(net.conv(x)).relu() + net.second(net.conv(x / 2)).relu(),
        True,
        ["norm", "second"],
        False,
    ),
    "two BatchNorms": (read_twice, True, ["norm", "second"], False),
    "statistics of the batch": (lambda net, x: net.of_batch(net.conv(x)).relu(), True, [], False),
    "inference mode": (in_inference_mode, True, ["norm"], True),
    "a BatchNorm of two layers": (
        lambda net, x: net.norm(net.conv(x)).relu() + net.norm(net.other(x)).sigmoid(),
        False,
        [],
        True,
    ),
    "a skip": (also_skipped, False, [], False),
    "in place": (changed_in_place, False, [], False),
    "nothing": (lambda net, x: net.conv(x), False, [], False),
}


@pytest.mark.parametrize("kind", FLOWS)
def test_where_outputs_go(kind: str) -> None:
    flow, alone, norms, scaled = FLOWS[kind]
    network = Flow(flow).eval()
    call = layer_calls(network, {"conv": network.conv}, images())["conv"]
    names = {module: name for name, module in network.named_modules()}
    assert (call.into_batchnorm, [names[norm] for norm in call.norms]) == (alone, norms)
    assert (call.scale is not None) == scaled


@pytest.mark.parametrize("refit", ["moments", "layer", "sequential"])
@pytest.mark.parametrize("kind", FLOWS)
def test_no_offset_is_left(kind: str, refit: str) -> None:
    network = Flow(FLOWS[kind][0])
    recalibrate_batchnorm(network, [images()])
    wanted = network.eval()(images())
    artifact = pruners.compress(network, "svd", keep_ratio=0.5, data=[images()], refit=refit)
    made = artifact.apply(network)(images())
    assert artifact.refit.kept
    assert (made - wanted).mean(0).norm() < 0.15 * wanted.mean(0).norm()


@pytest.mark.parametrize("out", [8, 24])
@pytest.mark.parametrize("options", [{}, {"encoders": "joint"}], ids=["weight", "joint"])
@pytest.mark.parametrize("refit", ["moments", "layer"])
def test_a_batchnorm_over_tokens_is_none_over_features(out: int, refit: str, options: Any) -> None:
    torch.manual_seed(0)
    tokens = torch.randn(64, 8, 12) + 3
    network = nn.Sequential(nn.Linear(12, out, bias=False), nn.BatchNorm1d(8), nn.Flatten())
    recalibrate_batchnorm(network, [tokens])
    wanted = network.eval()(tokens)
    artifact = pruners.compress(network, "svd", keep_ratio=0.5, data=[tokens], refit=refit, **options)
    made = artifact.apply(network)(tokens)
    lost, wanted = (t.unflatten(1, (8, out)).mean((0, 1)) for t in (made - wanted, wanted))
    assert lost.norm() < 0.1 * wanted.norm()
