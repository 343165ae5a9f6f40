"""One pass there and back: the same bits as one pass for inputs and one for gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import pruners
from pruners.calibration import calibration as calibrations
from pruners.calibration.calibration import Calibration
from pruners.calibration.moments.gradient_moments import both_moments
from pruners.testing.sparse.network import OddNetwork
from tests.pruners.attention_networks import Attended, ByHand, Encoded
from trainables.task.networks.resnet import resnet20


class Recurrent(nn.Module):
    """(n, L, 3) to three classes by an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0].mean(1))


class Scored(nn.Module):
    """(n, 6) to three classes, with ``between`` between its two Linears."""

    def __init__(self, between: Callable[[Tensor], Tensor], classes: int = 3) -> None:
        super().__init__()
        self.first, self.last, self.between = nn.Linear(6, 8), nn.Linear(8, classes), between

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(x)))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "ResNet-20": (lambda: resnet20((1, 16, 16), 10), (1, 16, 16)),
    "odd layers, a frozen one": (OddNetwork, (4, 6, 6)),
    "fused attention": (ByHand, (5, 3)),
    "attention written out": (lambda: ByHand(fused=False), (5, 3)),
    "torch's attention": (Attended, (5, 4)),
    "torch's encoder": (Encoded, (5, 4)),
    "LSTM": (Recurrent, (5, 3)),
    "dropout in eval mode": (lambda: Scored(lambda x: nn.functional.dropout(x, 0.2)), (6,)),
}


def compared(network: nn.Module, images: Tensor) -> bool:
    """Tell whether one pass did for both; what came is what separate passes give."""
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    names = [name for name in names if not name.endswith("out_proj")]
    layers = {name: network.get_submodule(name) for name in names}
    calibration = Calibration(network, images)
    with torch.random.fork_rng():
        both = both_moments(network, layers, calibration.batches, seed=3)
    apart = Calibration(network, images)
    with torch.random.fork_rng():
        inputs = apart.moments(names)
    with torch.random.fork_rng():
        gradients = apart.gradient_moments(names, seed=3)
    if both is None:
        return False
    for found, expected in zip(both, (inputs, gradients), strict=True):
        assert found.keys() == expected.keys()
        for name, moment in expected.items():
            assert found[name].columns == moment.columns
            assert torch.equal(found[name].second, moment.second)
            assert torch.equal(found[name].mean, moment.mean)
    return True


@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_bits_are_those_of_separate_passes(kind: str, frozen: bool) -> None:
    torch.manual_seed(0)
    make, shape = NETWORKS[kind]
    network = make().eval().requires_grad_(not frozen)
    images = torch.randn(41, *shape, generator=torch.manual_seed(1))
    assert compared(network, images)


def rounded_with_gradients(x: Tensor) -> Tensor:
    return x.bfloat16().float() if torch.is_grad_enabled() else x


@pytest.mark.parametrize(
    "network",
    [Scored(rounded_with_gradients), Scored(torch.relu, classes=1)],
    ids=["other values with gradients", "no class scores"],
)
def test_none_where_one_pass_cannot_do_for_both(network: nn.Module) -> None:
    images = torch.randn(20, 6, generator=torch.manual_seed(1))
    layers = {name: network.get_submodule(name) for name in ("first", "last")}
    assert both_moments(network, layers, Calibration(network, images).batches, seed=0) is None


def test_layers_that_checkpointing_calls_again_count_once() -> None:
    class Checkpointed(Scored):
        def forward(self, x: Tensor) -> Tensor:
            made: Tensor = self.last(checkpoint(lambda x: torch.relu(self.first(x)), x, use_reentrant=False))
            return made

    torch.manual_seed(0)
    network, plain = Checkpointed(torch.relu), Scored(torch.relu)
    plain.load_state_dict(network.state_dict())
    images = torch.randn(20, 6, generator=torch.manual_seed(1))
    found, expected = (
        Calibration(net, images).both_moments(["first", "last"], seed=0) for net in (network, plain)
    )
    for some, others in zip(found, expected, strict=True):
        for name, moment in others.items():
            assert some[name].columns == moment.columns == 20
            assert torch.equal(some[name].second, moment.second)


def test_what_is_wrong_is_said_as_ever() -> None:
    network, images = Scored(lambda x: x * torch.inf), torch.randn(20, 6)
    single = Scored(torch.relu, classes=1)
    with pytest.raises(pruners.PrunerError, match="Layer 'last': its inputs on the calibration images"):
        Calibration(network, images).both_moments(["first", "last"], seed=0)
    with pytest.raises(pruners.PrunerError, match="need a network that gives class scores"):
        Calibration(single, images).both_moments(["first", "last"], seed=0)
    without = Scored(lambda x: torch.as_tensor(x.numpy()))
    with pytest.raises(pruners.PrunerError, match=r"cannot be run on the calibration images.* call numpy"):
        Calibration(without, images).both_moments(["first", "last"], seed=0)
    with pytest.raises(pruners.PrunerError, match=r"layer 'first' \(Linear\) refuses"):
        Calibration(without, images[:, :5]).both_moments(["first", "last"], seed=0)


def test_each_layer_is_passed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = Scored(torch.relu), torch.randn(20, 6, generator=torch.manual_seed(1))
    calibration = Calibration(network, images)
    expected = calibration.both_moments(["first", "last"], seed=0)

    def refuse(*_: object) -> None:
        raise AssertionError("a pass of its own")

    for name in ("input_moments", "gradient_moments", "both_moments"):
        monkeypatch.setattr(calibrations, name, refuse)
    assert calibration.both_moments(["first", "last"], seed=0) == expected
    assert (calibration.moments(["last"]), calibration.gradient_moments(["last"], 0)) == tuple(
        {"last": found["last"]} for found in expected
    )
