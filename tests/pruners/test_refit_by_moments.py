"""BatchNorm's statistics by a formula: against running the fitted network on the same images."""

import copy

import pytest
import torch
from torch import Tensor, nn

import pruners
from pruners.network.batchnorm import batchnorm_statistics, recalibrate_batchnorm

DOUBLE = torch.float64


def images(number: int = 64) -> Tensor:
    """Smooth inputs, far from white, whose mean is not 0."""
    noise = torch.randn(number, 4, 8, 8, generator=torch.Generator().manual_seed(7), dtype=DOUBLE)
    return nn.functional.avg_pool2d(noise, 3, 1, 1) + 0.5


class Branches(nn.Module):
    """Convolutions on the images themselves, whose inputs compression does not change, each with a BatchNorm.

    ``plain`` has no bias, ``biased`` one, ``grouped`` two groups; ``shared`` is given outputs of two
    convolutions, ``later`` a sum.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.plain, self.biased = nn.Conv2d(4, 9, 3, bias=False), nn.Conv2d(4, 9, 3)
        self.grouped = nn.Conv2d(4, 10, 3, groups=2, bias=False)
        self.one, self.other = (nn.Conv2d(4, 9, 3, bias=False) for _ in range(2))
        self.added = nn.Conv2d(4, 9, 3, bias=False)
        self.of_plain, self.of_biased, self.of_grouped = (
            nn.BatchNorm2d(9),
            nn.BatchNorm2d(9),
            nn.BatchNorm2d(10),
        )
        self.shared, self.later = nn.BatchNorm2d(9), nn.BatchNorm2d(9)
        self.to(DOUBLE)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            self.of_plain(self.plain(x)),
            self.of_biased(self.biased(x)),
            self.of_grouped(self.grouped(x)),
        ]
        parts += [self.shared(self.one(x)), self.shared(self.other(x)), self.later(self.added(x) + 1)]
        return torch.cat([part.mean((2, 3)) for part in parts], 1)


@pytest.fixture
def network() -> nn.Module:
    dense = Branches()
    recalibrate_batchnorm(dense, [images()])
    return dense.eval()


@pytest.mark.parametrize("encoders", ["weight", "whitened", "joint"])
@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.5])
def test_a_batchnorm_of_one_layer_has_the_statistics_that_running_gives(
    network: nn.Module, encoders: str, ridge: float
) -> None:
    artifact = pruners.compress(
        network, "svd", keep_ratio=0.4, data=[images()], refit="moments", encoders=encoders, ridge=ridge
    )
    assert len(artifact.layers) == 6
    by_formula = artifact.apply(network)
    by_running = copy.deepcopy(by_formula)
    recalibrate_batchnorm(by_running, [images()])
    found, expected = batchnorm_statistics(by_formula), batchnorm_statistics(by_running)
    before = batchnorm_statistics(network)
    for norm in ("of_plain", "of_biased", "of_grouped"):
        for name in (f"{norm}.running_mean", f"{norm}.running_var"):
            torch.testing.assert_close(found[name], expected[name], rtol=1e-7, atol=1e-9)
        assert not torch.allclose(found[f"{norm}.running_var"], before[f"{norm}.running_var"], rtol=0.01)
    torch.testing.assert_close(found["of_biased.running_mean"], before["of_biased.running_mean"])
    for norm in ("shared", "later"):
        assert torch.equal(found[f"{norm}.running_var"], before[f"{norm}.running_var"])


def test_factors_are_those_of_the_layerwise_refit_and_no_small_network_is_run(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = {"keep_ratio": 0.4, "data": [images()]}
    layerwise = pruners.compress(network, "alds", refit="layer", **ask)
    monkeypatch.setattr("pruners.lowrank.fitting.network_fit.decomposed_copy", None)
    artifact = pruners.compress(network, "alds", refit="moments", **ask)
    assert (artifact.refit.divergence, artifact.refit.divergence_without, artifact.refit.kept) == (
        None,
        None,
        True,
    )
    assert artifact.refit.output_errors == layerwise.refit.output_errors
    for name in artifact.tensors:
        assert "running" in name or torch.equal(artifact.tensors[name], layerwise.tensors[name])


def test_outputs_that_do_not_vary_keep_their_variance() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 9, 3, bias=False), nn.BatchNorm2d(9)).double().eval()
    constant = torch.ones(8, 4, 8, 8, dtype=DOUBLE)
    artifact = pruners.compress(network, "svd", keep_ratio=0.4, data=[constant], refit="moments")
    found = batchnorm_statistics(artifact.apply(network))
    assert torch.equal(found["1.running_var"], torch.ones(9, dtype=DOUBLE))
    assert found["1.running_mean"].isfinite().all()


def test_a_mask_has_no_such_refit(network: nn.Module) -> None:
    with pytest.raises(pruners.PrunerError, match="refit"):
        pruners.compress(network, "magnitude", keep_ratio=0.4, data=[images()], refit="moments")
