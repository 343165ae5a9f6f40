"""What the method calibrated does with its curves."""

import pytest
import torch

import pruners
from pruners.planning import error_curves


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(48, 4, 8, 8, generator=torch.Generator().manual_seed(2))


def planned(network, images, **options):
    return pruners.plan(network, "calibrated", keep_ratio=0.4, data=images, **options)


@pytest.mark.parametrize("allocate", ["sum", "minmax"])
def test_scale_multiplies_a_layers_errors(network, images, allocate):
    plain = planned(network, images, allocate=allocate)
    cheap = planned(network, images, allocate=allocate, scale={"7": 1e-4})
    dear = planned(network, images, allocate=allocate, scale={"7": 1e4})
    assert cheap.layers["7"].params < plain.layers["7"].params
    assert "7" not in dear.layers or dear.layers["7"].params > plain.layers["7"].params
    same = planned(
        network, images, allocate=allocate, scale=dict.fromkeys(pruners.compressible(network), 3.0)
    )
    assert same == plain
    with pytest.raises(pruners.UnknownLayer, match="scale: the network has no compressible layer '8'"):
        planned(network, images, scale={"8": 1.0})


def test_a_large_power_is_min_max(network, images):
    largest = planned(network, images, error="output", allocate="minmax").error
    errors = [planned(network, images, error="output", power=p).error for p in (0.5, 30.0)]
    assert errors[0] > 1.02 * largest
    assert largest <= errors[1] <= 1.01 * largest


@pytest.mark.parametrize("error", ["output", "predicted"])
def test_powers_and_scales_of_any_size(network, images, error):
    def chosen(**options):
        return planned(network, images, error=error, **options).layers

    largest = planned(network, images, error=error, allocate="minmax").error
    assert largest <= planned(network, images, error=error, power=300.0).error <= 1.01 * largest
    # all layers alike: no scale at all
    for factor in (1e200, 1e308, 1e-300):
        assert chosen(scale=dict.fromkeys(pruners.compressible(network), factor)) == chosen()
    name = min(pruners.compressible(network), key=lambda layer: pruners.compressible(network)[layer].params)
    assert name in chosen()
    for allocate in ("sum", "minmax"):
        assert name not in chosen(scale={name: 1e308}, allocate=allocate)  # it stays dense
    assert chosen(allocate="minmax", power=500.0) == chosen(allocate="minmax")


@pytest.mark.parametrize("pinned", [False, True])
def test_errors_of_all_layers_come_from_one_pass(network, images, pinned):
    shapes, passes = pruners.compressible(network), []
    network.register_forward_hook(lambda *_: passes.append(1))
    if pinned:
        pins = {name: {"rank": 1, "num_subspaces": 1} for name in shapes}
        pruners.plan(network, "calibrated", keep_ratio=1.0, data=images, error="output", layers=pins)
    else:
        error_curves(network, "calibrated", data=images, error="output")
    batches = -(-len(images) // 32)
    assert len(shapes) > 2 and len(passes) == batches + 1  # one to see which layers are called


@pytest.mark.parametrize("error", ["output", "predicted", "measured"])
def test_a_further_budget_runs_nothing_again(network, images, error):
    planned(network, images, error=error)
    runs = []
    handle = network.register_forward_hook(lambda *_: runs.append(1))
    pruners.plan(network, "calibrated", keep_ratio=0.3, data=images.clone(), error=error)
    assert not runs
    handle.remove()
