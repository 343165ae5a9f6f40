"""Taylor's scores against gates that are really moved, and against torch's own gradient of gates."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import pruners
from pruners.channels.grouping.groups import ChannelGroup
from pruners.channels.methods.channel_method import ChannelInputs
from pruners.channels.methods.taylor import Taylor
from pruners.channels.network_channels import NetworkChannels
from pruners.channels.readers import readers_of


class Residual(nn.Module):
    """A sum, BatchNorm, a depthwise convolution and a flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.inner = nn.Conv2d(6, 4, 3, padding=1)
        self.outer = nn.Conv2d(4, 6, 1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.head = nn.Linear(6 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x)).relu()
        x = (x + self.outer(self.inner(x).relu())).relu()
        return self.head(self.depthwise(x).relu().flatten(1))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    made = Residual()
    with torch.no_grad():
        made.norm.running_mean.uniform_(-0.2, 0.2)
        made.norm.running_var.uniform_(0.5, 1.5)
        made.norm.bias.uniform_(-0.2, 0.5)
    return made.double().eval()


def batches(examples: int = 8, number: int = 2) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(examples, 3, 4, 4, generator=generator, dtype=torch.float64),
            torch.randint(0, 5, (examples,), generator=generator),
        )
        for _ in range(number)
    ]


def groups_of(network: nn.Module) -> dict[str, ChannelGroup]:
    return NetworkChannels(network, batches()[0][0][:1]).groups


def scores(network: nn.Module, data: list[tuple[Tensor, Tensor]], gradient: str) -> dict[str, Tensor]:
    given = ChannelInputs(
        data[0][0][:1], [x for x, _ in data], [y for _, y in data], cross_entropy, torch.Generator()
    )
    return Taylor().scores(network, groups_of(network), given, {"gradient": gradient})


def gated_loss(network: nn.Module, group: ChannelGroup, gates: Tensor) -> Callable[..., Tensor]:
    """Return the loss where every layer that reads a group is given its channels times ``gates``."""
    hooks = []

    def loss(inputs: Tensor, labels: Tensor) -> Tensor:
        for names, place in readers_of(network, {group.name: group})[group.name]:
            for name in names:
                layer = network.get_submodule(name)

                def hook(module: nn.Module, args: tuple[Tensor], place=place) -> Tensor:  # type: ignore[no-untyped-def]
                    scale = torch.ones(args[0].shape[1], dtype=torch.float64)
                    for channel, entries in enumerate(place.index):
                        scale = scale.index_put((entries,), gates[channel].expand(len(entries)))
                    return args[0] * scale.reshape(-1, *[1] * (args[0].dim() - 2))

                hooks.append(layer.register_forward_pre_hook(hook))
        try:
            return cross_entropy(network(inputs), labels)
        finally:
            while hooks:
                hooks.pop().remove()

    return loss


def test_a_score_is_the_squared_change_of_the_loss_when_a_gate_moves(network: nn.Module) -> None:
    data, step = batches(number=1), 1e-6
    found = scores(network, data, "batch")
    assert sorted(found) == ["first", "inner"], "the sum and the depthwise convolution are one group"
    for name, group in groups_of(network).items():
        for channel in range(group.channels):
            ends = []
            for moved in (1 + step, 1 - step):
                gates = torch.ones(group.channels, dtype=torch.float64)
                gates[channel] = moved
                with torch.no_grad():
                    ends.append(float(gated_loss(network, group, gates)(*data[0])))
            difference = (ends[0] - ends[1]) / (2 * step)
            assert float(found[name][channel]) == pytest.approx(difference**2, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("gradient", ["batch", "example"])
def test_batches_or_examples_are_squared_one_by_one(network: nn.Module, gradient: str) -> None:
    data = batches(examples=5, number=3)
    found = scores(network, data, gradient)
    parts = data if gradient == "batch" else [(x[i : i + 1], y[i : i + 1]) for x, y in data for i in range(5)]
    for name, group in groups_of(network).items():
        squares = []
        for inputs, labels in parts:
            gates = torch.ones(group.channels, dtype=torch.float64, requires_grad=True)
            (slope,) = torch.autograd.grad(gated_loss(network, group, gates)(inputs, labels), gates)
            squares.append(slope**2)
        torch.testing.assert_close(found[name], torch.stack(squares).mean(0), rtol=1e-9, atol=1e-15)


def test_the_gate_of_a_group_is_its_removal(network: nn.Module) -> None:
    """At gates of 0 the dense network computes what the one without the channels does."""
    data = batches(number=1)
    artifact = pruners.compress(
        network, "taylor", keep_ratio=0.5, data=data, loss=cross_entropy, example=data[0][0][:1]
    )
    small = artifact.apply(network)
    with torch.no_grad():
        expected = float(cross_entropy(small(data[0][0]), data[0][1]))
    gated = network
    for name, group in groups_of(network).items():
        kept = artifact.kept[f"{name}.weight"][0]
        removed = torch.ones(group.channels, dtype=torch.bool).index_fill(0, kept, False)
        with torch.no_grad():
            for _, place in readers_of(gated, {name: group})[name]:
                weight = gated.get_parameter(place.tensor)
                weight.index_fill_(place.dim, place.index[removed].flatten(), 0)
    with torch.no_grad():
        assert float(cross_entropy(gated(data[0][0]), data[0][1])) == pytest.approx(expected, rel=1e-9)
    assert artifact.params < sum(layer.params for layer in pruners.prunable(network).values())
