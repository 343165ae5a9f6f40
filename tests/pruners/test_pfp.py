"""Provable filter pruning: sensitivities against loops, the bound against draws, its choice in a network."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

import pruners
from pruners.channels.sample_bound import errors_by_rank, expected_distinct, samples_needed
from pruners.channels.sensitivity import largest_shares


def by_loops(layer: nn.Conv2d | nn.Linear, inputs: Tensor, share: str) -> list[float]:
    """Every output of every sample as the definition says, one product at a time."""
    weight, groups = layer.weight.detach(), 1
    if isinstance(layer, nn.Linear):
        weight, maps = weight[..., None, None], inputs.reshape(-1, inputs.shape[-1], 1, 1)
        kernel, stride, dilation = (1, 1), (1, 1), (1, 1)
    else:
        assert not isinstance(layer.padding, str)
        (up, left), groups = layer.padding, layer.groups
        maps = pad(inputs, (left, left, up, up))
        kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    heights, widths = (
        (side - d * (k - 1) - 1) // s + 1
        for side, d, k, s in zip(maps.shape[2:], dilation, kernel, stride, strict=True)
    )
    per_group, largest = weight.shape[1], [0.0] * maps.shape[1]
    for one, y, x, i in product(maps, range(heights), range(widths), range(len(weight))):
        first = i // (len(weight) // groups) * per_group
        for sign_a, sign_w in product((1, -1), (1, -1)):
            terms = [
                [
                    max(0.0, sign_w * float(weight[i, j, u, v]))
                    * max(
                        0.0,
                        sign_a
                        * float(
                            one[first + j, y * stride[0] + u * dilation[0], x * stride[1] + v * dilation[1]]
                        ),
                    )
                    for u, v in product(range(kernel[0]), range(kernel[1]))
                ]
                for j in range(per_group)
            ]
            total = sum(map(sum, terms))
            for j, own in enumerate(terms if total else []):
                told = (sum(own) if share == "channel" else max(own)) / total
                largest[first + j] = max(largest[first + j], told)
    return largest


LAYERS = {
    "a convolution": (nn.Conv2d(4, 2, 3, stride=2, padding=1), (1, 4, 4, 4)),
    "groups and dilation": (nn.Conv2d(6, 4, (2, 1), groups=2, dilation=2), (1, 6, 4, 2)),
    "a Linear": (nn.Linear(6, 3), (3, 2, 6)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("share", ["channel", "weight"])
@pytest.mark.parametrize("signed", [False, True])
def test_sensitivities_are_those_of_the_definition(name: str, share: str, signed: bool) -> None:
    layer, shape = LAYERS[name]
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(shape, generator=generator, dtype=torch.float64)
    inputs, layer = inputs if signed else inputs.abs() + 0.5, layer.double()
    found = largest_shares(layer, inputs, share)
    torch.testing.assert_close(found, torch.tensor(by_loops(layer, inputs, share), dtype=torch.float64))
    assert found.unique().numel() > 1 or signed


def test_a_layer_of_many_outputs_is_gone_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, inputs = nn.Conv2d(8, 6, 3, padding=1), torch.rand(2, 8, 6, 6)
    whole = largest_shares(layer, inputs, "channel")
    monkeypatch.setattr("pruners.channels.sensitivity._POSITIONS", 5)
    monkeypatch.setattr("pruners.channels.sensitivity._SHARES", 64)
    torch.testing.assert_close(largest_shares(layer, inputs, "channel"), whole)


def test_the_bound_counts_distinct_channels_of_draws() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    generator = torch.Generator().manual_seed(0)
    draws = torch.multinomial(probabilities.expand(20_000, -1), 6, replacement=True, generator=generator)
    seen = torch.stack([(draws == j).any(1) for j in range(4)]).float().mean(1).sum()
    assert expected_distinct(probabilities, 6) == pytest.approx(float(seen), abs=0.02)


def test_each_channel_has_the_error_that_asks_for_it() -> None:
    sensitivities = torch.rand(40, generator=torch.Generator().manual_seed(0)).double() ** 3
    sensitivities[[3, 17]] = 0
    errors = errors_by_rank(sensitivities, positions=64, kernel=9)
    order = sensitivities.argsort(descending=True)
    assert (errors[order[:38]].diff() < 0).all() and (errors[order[38:]] == 0).all()
    share = sensitivities / sensitivities.sum()
    for rank, channel in enumerate(order[:38]):
        samples = samples_needed(float(errors[channel]), float(sensitivities.sum()), 64, 9)
        assert expected_distinct(share, samples) == pytest.approx(rank + 0.5, abs=1e-6)


def test_equal_channels_and_a_single_one_have_errors_too() -> None:
    same = errors_by_rank(torch.full((5,), 0.25), 4, 9)
    assert (same.diff() < 0).all() and (same > 0).all()
    alone = errors_by_rank(torch.tensor([0.0, 0.7, 0.0]), 1, 1)
    assert alone[1] > 0 and alone[[0, 2]].tolist() == [0, 0]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 5),
    )


def test_a_network_keeps_what_its_bound_asks_for_at_the_largest_error() -> None:
    """Bisect the one error of all layers, as the authors do, by the channels that it asks for."""
    network, images = small_network(), torch.rand(6, 3, 8, 8)
    artifact = pruners.compress(network, "pfp", budget=500, data=images, example=images[:1])
    second, last = network[2], network[6]
    assert isinstance(second, nn.Conv2d) and isinstance(last, nn.Linear)
    with torch.no_grad():
        of_second = largest_shares(second, network[:2](images), "channel").double()
        of_last = largest_shares(last, network[:6](images), "channel").double().reshape(8, 4).amax(1)

    def asked(error: float) -> tuple[int, int]:
        first, after = (
            round(expected_distinct(s / s.sum(), samples_needed(error, float(s.sum()), positions, kernel)))
            for s, positions, kernel in ((of_second, 64, 9), (of_last, 1, 1))
        )
        return max(1, first), max(1, after)

    low, high = 1e-9, 1e12
    while high / low > 1 + 1e-9:
        middle = (low * high) ** 0.5
        first, after = asked(middle)
        fits = 27 * first + 9 * first * after + 20 * after <= 500
        low, high = (low, middle) if fits else (middle, high)
    first, after = asked(high)
    assert 1 < first < 12 and 1 < after < 8
    for name, sensitivity, kept in (("0", of_second, first), ("2", of_last, after)):
        best = sensitivity.argsort(descending=True)[:kept].sort().values
        assert artifact.kept[f"{name}.weight"][0].tolist() == best.tolist()


def test_only_the_first_samples_are_looked_at() -> None:
    network, images = small_network(), torch.rand(40, 3, 8, 8)
    few = pruners.compress(network, "pfp", keep_ratio=0.3, data=images[:5], example=images[:1])
    first = pruners.compress(network, "pfp", keep_ratio=0.3, data=images, example=images[:1], samples=5)
    others = images.clone()
    others[5:] = 1000
    unseen = pruners.compress(network, "pfp", keep_ratio=0.3, data=others, example=images[:1], samples=5)
    for other in (first, unseen):
        assert {n: d[0].tolist() for n, d in few.kept.items() if 0 in d} == {
            n: d[0].tolist() for n, d in other.kept.items() if 0 in d
        }


def test_inputs_are_needed_and_named() -> None:
    with pytest.raises(pruners.PrunerError, match=r"Method pfp needs data=\."):
        pruners.compress(small_network(), "pfp", keep_ratio=0.4, example=torch.rand(1, 3, 8, 8))


def test_a_channel_that_a_convolution_and_a_flattening_linear_read():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.next = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 5, 1)
            self.flat, self.last = nn.Linear(6 * 4, 5), nn.Linear(5, 2)

        def forward(self, x):
            x = torch.relu(self.stem(x))
            return self.last(self.flat(x.flatten(1)) + self.next(x).mean((2, 3)))

    torch.manual_seed(0)
    network, images = Both(), torch.randn(4, 3, 2, 2)
    with torch.no_grad():  # channel 2 matters to one position of the second alone, channel 4 to nothing
        network.next.weight[:, [2, 4]] = 0
        network.flat.weight.view(5, 6, 4)[:, 4] = 0
        network.flat.weight.view(5, 6, 4)[:, 2, 1:] = 0
    artifact = pruners.compress(
        network, "pfp", keep_ratio=0.9, allocation="uniform", example=images[:1], data=images
    )
    kept = artifact.kept["stem.weight"][0].tolist()
    assert 4 not in kept and 2 in kept
