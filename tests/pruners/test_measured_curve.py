"""Measured curves say what measuring by hand says, to the bit, and what lies between two sizes."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

import pruners
from pruners.calibration.calibration import Calibration
from pruners.lowrank.curves.measured import MeasuredCurve, measure_curve
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.spectra.network_spectra import spectra_of


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(48, 4, 8, 8, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def trained(network: nn.Module, images: torch.Tensor) -> nn.Module:
    """BatchNorm knows the images, and the outputs are sharp enough to diverge."""
    pruners.recalibrate_batchnorm(network, [images])
    network[9].weight.data *= 4
    return network


@pytest.mark.parametrize("layer", ["0", "3", "7"])
def test_curve_reproduces_a_direct_measurement_bit_for_bit(trained, images, layer):
    calibration = Calibration(trained, images)
    curve = measure_curve(calibration, spectra_of(trained), layer)
    assert len(curve.ranks) >= 5
    for rank, subspaces, weight_error, divergence in zip(
        curve.ranks, curve.subspaces, curve.weight_errors, curve.divergences, strict=True
    ):
        if rank:
            others = [name for name in pruners.compressible(trained) if name != layer]
            pinned = {layer: {"rank": rank, "num_subspaces": subspaces}}
            artifact = pruners.compress(trained, keep_ratio=1.0, layers=pinned, exclude=others)
            small = artifact.apply(trained)
            assert weight_error == artifact.layer_errors[layer]["max"]
        else:
            small = copy.deepcopy(trained)
            assert weight_error == 0.0
        pruners.recalibrate_batchnorm(small, list(images.split(len(calibration.batches[0]))))
        assert divergence == calibration.divergence(small)


def test_sizes_are_spread_from_the_smallest_to_dense(trained, images):
    shape = pruners.compressible(trained)["7"]
    curve = measure_curve(Calibration(trained, images), spectra_of(trained), "7", sizes=6)
    params = [
        r * shape.params_per_rank(k) if r else shape.params
        for r, k in zip(curve.ranks, curve.subspaces, strict=True)
    ]
    assert params == sorted(params) and len(params) == 7
    assert params[0] == min(shape.params_per_rank(k) for k in shape.candidate_subspaces)
    steps = np.diff(np.log(params))
    assert steps.max() < 1.5 * steps.mean()


def test_between_sizes_the_divergence_follows_the_squared_weight_error():
    curve = MeasuredCurve((1, 2, 3, 0), (1, 1, 1, 0), (0.8, 0.6, 0.3, 0.0), (3.0, 1.0, 1.5, 0.5))
    # the third size is no better than a smaller one
    asked = np.array([0.8, 0.6, 0.0, np.sqrt((0.64 + 0.36) / 2), np.sqrt(0.18), 1.6])
    assert curve.divergence(asked) == pytest.approx([3.0, 1.0, 0.5, 2.0, 0.75, 12.0])
    assert curve.divergence(asked[:3]).tolist() == [3.0, 1.0, 0.5]
    assert curve.added(asked) == pytest.approx([2.5, 0.5, 0.0, 1.5, 0.25, 11.5])


def test_noise_below_the_dense_level_is_no_error():
    curve = MeasuredCurve((1, 2, 0), (1, 1, 0), (0.8, 0.6, 0.0), (0.4, 0.3, 0.5))
    assert curve.added(np.array([1.0, 0.7, 0.0])).tolist() == [0.0, 0.0, 0.0]


def test_plain_data_keep_every_bit(trained, images):
    curve = measure_curve(Calibration(trained, images), spectra_of(trained), "3", sizes=3)
    assert MeasuredCurve.restored(json.loads(json.dumps(curve.described()))) == curve
    with pytest.raises((TypeError, ValueError)):
        MeasuredCurve.restored(curve.described() | {"ranks": [1]})
    with pytest.raises(TypeError):
        MeasuredCurve.restored({"rank": [1]})


class Elsewhere(Calibration):
    """A calibration whose curves come from somewhere else."""

    def computed(self, wanted):
        self.asked = list(wanted)
        return {key: self.curve.described() for key in wanted}


def test_all_curves_are_asked_for_at_once_and_can_come_from_elsewhere(trained, images):
    elsewhere = Elsewhere(trained, images)
    elsewhere.curve = MeasuredCurve((1, 0), (1, 0), (1.0, 0.0), (7.0, 0.0))
    plan = pruners.plan(trained, "calibrated", keep_ratio=0.3, data=elsewhere, error="measured")
    assert len(elsewhere.asked) == len(set(elsewhere.asked)) == 4
    for name, choice in plan.layers.items():
        weight_error = spectra_of(trained).search(name, "max").error(Cut(choice.rank, choice.num_subspaces))
        assert choice.error == pytest.approx(7.0 * weight_error**2)
    del elsewhere.asked
    again = pruners.plan(trained, "calibrated", keep_ratio=0.5, data=elsewhere, error="measured")
    assert again.params > plan.params and not hasattr(elsewhere, "asked")


def test_the_network_is_left_as_it_is(trained, images):
    before = copy.deepcopy(trained)
    measure_curve(Calibration(trained, images), spectra_of(trained), "0", sizes=2)
    assert str(before) == str(trained)
    assert all(
        torch.equal(a, b)
        for a, b in zip(before.state_dict().values(), trained.state_dict().values(), strict=True)
    )
