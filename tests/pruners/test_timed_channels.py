"""Channels within a budget in time: exact for the table of times."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
from pruners.channels.timed_channels import TimedChannels
from pruners.latency.tables import LatencyTables
from pruners.lowrank.layers.budget import NANOSECONDS
from pruners.testing.channels.networks import Chain, Residual, images, made

EXAMPLE = images(4)
STEPS = (0.25, 0.5, 0.75, 1.0)


class Known(LatencyTables):
    """Times of a layer: 100 and ``each`` for every pair of output and input channel; the rest by channels."""

    def __init__(self, network, each=10, noise=0):
        super().__init__()
        self.layers, self.each, self.noise = pruners.prunable(network), each, noise
        self.asked = []

    def time(self, out, given, place=0):
        return 100 + self.each * out * given + self.noise * (place % 2)

    def once(self, of, part, measure):
        self.asked.append(part)
        if part.startswith("rest with"):
            return {"rest": round(5000 * (0.2 + 0.8 * float(part.split()[2])))}
        shapes = {name: layer.shape for name, layer in self.layers.items()}
        if part.endswith(" layers"):
            dense = {name: self.time(*shape[:2]) for name, shape in shapes.items()}
            network = sum(dense.values()) + 5000
            return {"network": network, "layers": dense, "outputs": {n: s[0] for n, s in shapes.items()}}
        name = part.removeprefix("channels of ")
        rows, columns = (sorted({1, *(max(1, round(s * n)) for s in STEPS)}) for n in shapes[name][:2])
        pairs = itertools.product(rows, columns)
        return {f"{o} x {g}": self.time(o, g, place) for place, (o, g) in enumerate(pairs)}


@pytest.mark.parametrize("network", [Chain, Residual])
def test_no_more_channels_fit_in_the_time(network):
    model = made(network)
    tables = Known(model)
    channels = TimedChannels(model, EXAMPLE, tables)
    total = channels.total(NANOSECONDS)
    assert total == 5000 + sum(tables.time(*layer.shape[:2]) for layer in pruners.prunable(model).values())
    kwargs = {"example": EXAMPLE, "latency_table": tables}
    least = pruners.least_budget(model, "latency_ratio", method="ft", **kwargs)
    assert 0 < least < 0.6
    kept = []
    for share in (least, 0.6, 0.8, 1.0):
        artifact = pruners.compress(model, "ft", latency_ratio=share, allocation="uniform", **kwargs)
        assert artifact.options["latency_ratio"] == share
        removed = {n: g.channels - _left(artifact, g) for n, g in channels.groups.items()}
        cost = channels.cost(removed, NANOSECONDS)
        assert cost <= share * total
        kept.append(artifact.params)
        one_more = {n: r for n, r in removed.items() if r}
        if one_more:  # the last that went was needed
            assert any(
                channels.cost({**removed, n: r - 1}, NANOSECONDS) > share * total for n, r in one_more.items()
            )
    assert kept == sorted(kept) and kept[-1] == sum(x.params for x in pruners.prunable(model).values())
    by_ms = pruners.compress(model, "ft", latency_ms=0.6 * total / 1e6, allocation="uniform", **kwargs)
    assert by_ms.params == kept[1]
    with pytest.raises(pruners.InfeasibleBudget, match=" ms cannot be met: with the fewest channels"):
        pruners.compress(model, "ft", latency_ratio=0.5 * least, **kwargs)


def _left(artifact, group):
    """How many channels of a group an artifact keeps, told by its first place."""
    place = group.places[0]
    of_tensor = artifact.kept.get(place.tensor, {})
    if place.dim not in of_tensor:
        return group.channels
    return len(of_tensor[place.dim]) - (artifact.shapes[place.tensor][place.dim] - group.channels)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(0, 4000), st.lists(st.integers(0, 5), min_size=2, max_size=2))
def test_fewer_channels_never_take_longer(each, noise, counts):
    model = made(Chain)
    channels = TimedChannels(model, EXAMPLE, Known(model, each, noise))
    names = list(channels.groups)[:2]
    removed = dict(zip(names, counts, strict=True))
    cost = channels.cost(removed, NANOSECONDS)
    assert channels.cost({}, NANOSECONDS) >= cost > 0
    for name in names:
        assert channels.cost({**removed, name: removed[name] + 1}, NANOSECONDS) <= cost


def test_what_is_measured_is_kept_and_enough(tmp_path):
    model, file = made(Residual), tmp_path / "times.json"
    kwargs = {"example": EXAMPLE, "latency_table": file}
    least = pruners.least_budget(model, "latency_ratio", method="ft", **kwargs)
    assert 0 < least <= 1
    artifact = pruners.compress(model, "ft", latency_ratio=max(least, 0.8), **kwargs)
    measured = file.read_bytes()
    again = pruners.compress(model, "ft", latency_ratio=max(least, 0.8), **kwargs)
    assert file.read_bytes() == measured and again.params == artifact.params
    assert torch.isfinite(artifact.apply(model)(EXAMPLE)).all()


def test_channels_alone_tell_no_time():
    channels = pruners.NetworkChannels(made(Chain), EXAMPLE)
    with pytest.raises(pruners.PrunerError, match=r"latency_ms\) needs the network itself, not its channels"):
        pruners.least_budget(channels, "latency_ms", method="ft")


class InFours(nn.Module):
    """Its code takes no other numbers of channels than multiples of four."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.output = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        if x.shape[1] % 4:
            raise ValueError("channels come in fours")
        return self.output(self.second(x).mean((2, 3)))


class Shifted(nn.Conv2d):
    """A convolution whose own code counts its filters."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.register_buffer("shift", torch.ones(sizes[1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + self.shift.view(1, self.out_channels, 1, 1)


def in_order() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        Shifted(8, 6, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


@pytest.mark.parametrize(("network", "exclude"), [(InFours, ()), (in_order, ("2",))])
def test_code_that_refuses_numbers_of_channels_is_no_obstacle(network, exclude):
    kwargs = {"example": EXAMPLE, "latency_table": LatencyTables(), "exclude": exclude}
    assert 0 < pruners.least_budget(network(), "latency_ratio", method="ft", **kwargs) <= 1


def test_an_example_that_is_none_is_named():
    with pytest.raises(pruners.PrunerError, match=r"^example: "):
        pruners.least_budget(made(Chain), "latency_ratio", method="ft", example=torch.tensor(1.0))
