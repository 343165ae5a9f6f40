"""The allocation owl against numpy: outliers counted one by one, densities by the paper's formula."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import unfold

import pruners
from pruners.sparse.selection.owl import divided_by_outliers
from tests.pruners.attention_networks import Attended

DOUBLE = torch.float64


class Net(nn.Module):
    """Two convolutions, the second in two groups, and two Linears; some input channels are far larger."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1, dtype=DOUBLE)
        self.second = nn.Conv2d(4, 6, 3, groups=2, dtype=DOUBLE)
        self.third, self.last = nn.Linear(24, 10, dtype=DOUBLE), nn.Linear(10, 3, dtype=DOUBLE)
        with torch.no_grad():
            for weight, power in ((self.first.weight, 3), (self.third.weight, 5), (self.last.weight, 2)):
                weight.copy_(weight.sign() * weight.abs() ** power * 20**power)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.third(self.second(self.first(images).relu()).relu().flatten(1)).relu())


def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(40, 2, 8, 8, generator=generator, dtype=DOUBLE) * torch.tensor([1, 9])[:, None, None]


def outliers(model: Net, m: float) -> dict[str, float]:
    """Every weight's |w| times the l2 norm of all that it is multiplied by, one group after the other."""
    found, inputs = {}, images()
    with torch.no_grad():
        after = [inputs, model.first(inputs).relu()]
        after.append(model.second(after[1]).relu().flatten(1))
        after.append(model.third(after[2]).relu())
    columns = {
        "first": [unfold(after[0], 3, padding=1, stride=2)],
        "second": [unfold(part, 3) for part in after[1].chunk(2, dim=1)],
        "third": [after[2][..., None]],
        "last": [after[3][..., None]],
    }
    for name, groups in columns.items():
        weight = model.get_submodule(name).weight.detach().numpy()
        scores = []
        for part, seen in zip(np.split(weight, len(groups)), groups, strict=True):
            norms = np.linalg.norm(seen.transpose(0, 1).flatten(1).numpy(), axis=1)
            scores.append(np.abs(part.reshape(len(part), -1)) * norms)
        values = np.concatenate([part.ravel() for part in scores])
        found[name] = float((values > m * values.mean()).mean())
    return found


@pytest.mark.parametrize(("m", "spread", "keep"), [(5, 0.08, 0.3), (2, 0.2, 0.5), (3, 0.05, 0.1)])
def test_a_networks_layers_keep_what_the_formula_says(m: float, spread: float, keep: float) -> None:
    model = Net()
    shares = outliers(model, m)
    assert len(set(shares.values())) > 2
    mask = pruners.compress(
        model, "magnitude", keep_ratio=keep, allocation="owl", owl_m=m, owl_lambda=spread, data=images()
    )
    sizes = {name: layer.dense_params for name, layer in mask.layers.items()}
    total, low = sum(sizes.values()), min(shares.values())
    above = {n: 2 * spread * (share - low) / (max(shares.values()) - low) for n, share in shares.items()}

    def densities(lowered: float) -> dict[str, float]:
        return {n: min(max(keep + more - lowered, keep - spread), keep + spread) for n, more in above.items()}

    bottom, top = 0.0, 2 * spread  # bisect: the sum falls
    for _ in range(60):
        middle = (bottom + top) / 2
        kept = sum(sizes[n] * density for n, density in densities(middle).items())
        bottom, top = (middle, top) if kept > keep * total else (bottom, middle)
    assert mask.params == math.ceil(Fraction(str(keep)) * total)
    assert all(abs(mask.layers[n].params - sizes[n] * d) <= 1.5 for n, d in densities(bottom).items())
    weights = {name: model.get_submodule(name).weight.detach().abs() for name in sizes}
    assert all(
        weights[name][kept].min() >= weights[name][~kept].max()
        for name, kept in ((n, mask.masks[f"{n}.weight"]) for n in sizes)
    )


def test_layers_of_one_size_are_the_papers_codes() -> None:
    """Its lines: shares scaled to [0, 2 lambda], less their mean, plus what is to be kept; here that stays
    within the paper's bounds.
    """
    shares = [Fraction(n, 1000) for n in (6, 24, 10, 20, 15)]
    scaled = [(share - min(shares)) / (max(shares) - min(shares)) * 2 * Fraction("0.08") for share in shares]
    expected = [1000 * (one - sum(scaled) / 5 + Fraction("0.3")) for one in scaled]
    found = divided_by_outliers(1500, [1000] * 5, shares, Fraction("0.08"), [0] * 5, [1000] * 5)
    assert sum(found) == 1500
    assert all(abs(one - ideal) < 1 for one, ideal in zip(found, expected, strict=True))


@st.composite
def budgets(draw: st.DrawFn) -> tuple[list[int], list[Fraction | None], Fraction, list[int], list[int], int]:
    weights = draw(st.lists(st.integers(0, 200), min_size=1, max_size=6))
    share = st.one_of(st.none(), st.integers(0, 100).map(lambda n: Fraction(n, 100)))
    shares = [draw(share) for _ in weights]
    most = [draw(st.integers(0, count)) if draw(st.booleans()) else count for count in weights]
    least = [min(draw(st.integers(0, 3)), utmost) for utmost in most]
    total = draw(st.integers(sum(least), sum(most)))
    return weights, shares, Fraction(draw(st.integers(1, 100)), 100), least, most, total


@settings(max_examples=300, deadline=None)
@given(budgets())
def test_totals_are_exact_and_layers_near_the_mean(drawn: tuple) -> None:
    weights, shares, spread, least, most, total = drawn
    found = divided_by_outliers(total, weights, shares, spread, least, most)
    assert sum(found) == total
    assert all(low <= count <= high for low, count, high in zip(least, found, most, strict=True))
    if most == weights and not any(least):
        mean = Fraction(total, max(1, sum(weights)))
        assert all(
            abs(count - of * mean) < 1 + of * (spread if share is not None else 0)
            for count, of, share in zip(found, weights, shares, strict=True)
        )
        kept = zip(shares, found, weights, strict=True)
        ranked = sorted((share, Fraction(n, of)) for share, n, of in kept if of and share is not None)
        for (fewer, sparser), (more, denser) in pairwise(ranked):
            assert fewer == more or denser >= sparser - Fraction(2, min(filter(None, weights)))


def test_one_is_counted_from_what_an_earlier_mask_left() -> None:
    model = Net()
    first = pruners.compress(model, "magnitude", keep_ratio=0.5, allocation="layerwise")
    mask = pruners.compress(
        model, "magnitude", keep_ratio=0.2, allocation="owl", data=images(), mask=first, rounds=3
    )
    total = sum(layer.dense_params for layer in mask.layers.values())
    assert mask.params == math.ceil(Fraction("0.2") * total)
    assert all((first.masks[name] | ~kept).all() for name, kept in mask.masks.items())


def test_what_is_not_called_as_a_layer_keeps_the_mean() -> None:
    model, data = Attended(), torch.randn(9, 5, 4)
    mask = pruners.compress(model, "magnitude", keep_ratio=0.5, allocation="owl", data=data)
    packed = mask.layers["attention.in_proj_weight"]
    assert packed.params == packed.dense_params // 2


def test_shares_of_single_layers_go_before() -> None:
    mask = pruners.compress(
        Net(), "random", keep_ratio=0.4, allocation="owl", layer_keep_ratio={"output": 1.0}, data=images()
    )
    assert mask.layers["last"].density == 1


REFUSED = {
    "no images": ({"data": None}, "allocation owl needs data=, a few hundred inputs"),
    "M": ({"owl_m": 0}, "owl_m must be a positive number, not 0"),
    "lambda": ({"owl_lambda": 1.5}, "owl_lambda must lie above 0 and at most at 1, not 1.5"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    changes, said = REFUSED[name]
    with pytest.raises(pruners.PrunerError, match=said):
        pruners.compress(Net(), "magnitude", keep_ratio=0.3, allocation="owl", **{"data": images()} | changes)
