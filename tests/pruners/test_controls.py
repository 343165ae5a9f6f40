"""Controls keep what they are meant to keep, and nothing else."""

import copy

import pytest
import torch
from torch import nn

import pruners
from pruners.testing.sparse.network import OddNetwork

CONTROLS = pytest.mark.parametrize("control", [pruners.shuffle, pruners.random_mask])


@pytest.fixture
def mask():
    return pruners.compress(OddNetwork(), "magnitude", keep_ratio=0.3, min_layer_keep=1)


@CONTROLS
def test_densities_of_the_layers_stay(control, mask):
    other = control(mask, seed=5)
    assert other.layers == mask.layers and other.prunable == mask.prunable
    assert {name: (m.shape, m.dtype) for name, m in other.masks.items()} == {
        name: (m.shape, m.dtype) for name, m in mask.masks.items()
    }
    overlap = sum(int((other.masks[name] & kept).sum()) for name, kept in mask.masks.items()) / mask.params
    by_chance = sum(layer.params * layer.density for layer in mask.layers.values()) / mask.params
    assert overlap == pytest.approx(by_chance, abs=0.1)


@CONTROLS
def test_by_the_seed_alone(control, mask):
    before, random = {name: m.clone() for name, m in mask.masks.items()}, torch.random.get_rng_state()
    first, second, third = control(mask, seed=1), control(mask, seed=1), control(mask, seed=2)
    assert all(torch.equal(first.masks[name], second.masks[name]) for name in before)
    assert not all(torch.equal(first.masks[name], third.masks[name]) for name in before)
    assert all(torch.equal(mask.masks[name], m) for name, m in before.items())
    assert torch.equal(random, torch.random.get_rng_state())


def test_controls_are_recorded(mask, tmp_path):
    other = pruners.random_mask(pruners.shuffle(mask, seed=3), seed=4)
    assert other.options == mask.options | {
        "controls": [{"control": "shuffle", "seed": 3}, {"control": "random_mask", "seed": 4}]
    }
    assert "controls" not in mask.options
    other.save(tmp_path)
    assert pruners.load(tmp_path).options == other.options


@CONTROLS
def test_a_loaded_mask_has_the_same_control(control, mask, tmp_path):
    """What is drawn layer by layer follows the network's order, which a file of tensors does not keep."""
    mask.save(tmp_path)
    loaded = pruners.load(tmp_path)
    assert (
        list(loaded.masks)
        == list(mask.masks)
        == [layer.parameter for layer in pruners.prunable(OddNetwork()).values()]
    )
    live, later = control(mask, seed=1), control(loaded, seed=1)
    assert all(torch.equal(live.masks[name], later.masks[name]) for name in mask.masks)


def test_a_captured_network_does_not_outlive_its_mask(mask):
    captured = mask.capture(mask.apply(OddNetwork()))
    other = pruners.shuffle(captured, seed=1)
    assert captured.complete and not other.complete


def test_reinitialize_draws_every_module_anew():
    model = OddNetwork()
    with torch.no_grad():
        model.stem[1].weight.fill_(5)
    model.stem[1].running_mean += 3
    before, random = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    first, second, third = (pruners.reinitialize(model, seed) for seed in (1, 1, 2))
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, second.get_parameter(name))
        assert torch.equal(parameter, third.get_parameter(name)) == name.startswith("stem.1")
        assert not torch.equal(parameter, before[name]) or name == "stem.1.bias"
        assert parameter.requires_grad == model.get_parameter(name).requires_grad
    assert (first.stem[1].weight == 1).all() and not first.stem[1].running_mean.any()
    assert first.second.weight is first.first.weight
    assert [m.training for m in first.modules()] == [m.training for m in model.modules()]


class Placed(nn.Module):
    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(3))


def test_a_module_that_cannot_be_drawn_anew_is_named():
    model = nn.ModuleDict({"body": nn.ModuleDict({"placed": Placed()})})
    with pytest.raises(
        pruners.PrunerError, match=r"'body\.placed', a Placed, has parameters and no reset_parameters"
    ):
        pruners.reinitialize(model, seed=0)
