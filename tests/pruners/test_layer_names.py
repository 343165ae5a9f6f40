"""Wrappers have no part in names, memory formats stay, and exclude takes patterns."""

import re

import pytest
import torch
from torch import nn

import pruners

METHODS = ("alds", "svd", "magnitude")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(
        stem, nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(8 * 16, 10)
    ).eval()


def with_a_compiled_stage(model):
    return nn.Sequential(torch.compile(model[0], backend="eager"), *model[1:])


def with_a_compiled_layer(model):
    return nn.Sequential(*model[:4], torch.compile(model[4], backend="eager"))


WRAPPERS = {
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "data parallel": nn.DataParallel,
    "averaged": torch.optim.swa_utils.AveragedModel,
    "compiled in data parallel": lambda model: nn.DataParallel(torch.compile(model, backend="eager")),
    "a compiled stage": with_a_compiled_stage,
    "a compiled layer": with_a_compiled_layer,
}


@pytest.fixture(params=WRAPPERS, name="wrap")
def _wrap(request):
    return WRAPPERS[request.param]


@torch.no_grad()
@pytest.mark.parametrize("method", METHODS)
def test_wrappers_are_no_part_of_a_name(method, wrap, tmp_path):
    plain, batch = network(), torch.randn(2, 3, 6, 6)
    wrapped = wrap(network())
    wrapped(batch)  # what is compiled at the first call is the dense network
    artifact = pruners.compress(wrapped, method, keep_ratio=0.4)
    assert artifact.layers == pruners.compress(plain, method, keep_ratio=0.4).layers
    artifact.capture(artifact.apply(wrapped)).save(tmp_path)
    expected = artifact.apply(plain)(batch)
    assert not torch.allclose(expected, plain(batch), atol=1e-3)
    for loaded in (artifact, pruners.load(tmp_path)):
        for target in (plain, wrapped):
            torch.testing.assert_close(loaded.apply(target)(batch), expected)


def test_options_name_the_plain_layers(wrap):
    wrapped = wrap(network())
    pins = {"4": {"rank": 2, "num_subspaces": 1}}
    artifact = pruners.compress(
        wrapped, "alds", keep_ratio=0.5, layers=pins, tolerance={"0.0": 2.0}, exclude=["1"]
    )
    assert artifact.layers["4"].rank == 2 and "1" not in artifact.layers
    mask = pruners.compress(
        wrapped, "magnitude", keep_ratio=0.5, layer_keep_ratio={"0.0": 0.25}, exclude=["4"]
    )
    assert mask.layers["0.0"].density == 0.25 and "4" not in mask.layers
    assert pruners.scores(wrapped, "magnitude").keys() == {"0.0.weight", "1.weight", "2.weight", "4.weight"}


@pytest.mark.parametrize("method", METHODS)
def test_exclude_takes_patterns(method):
    artifact = pruners.compress(network(), method, keep_ratio=0.7, exclude=["0.*", "[12]"])
    assert artifact.layers.keys() == {"4"}
    assert pruners.compress(network(), method, keep_ratio=0.9, exclude=["0.0"]).layers.keys() <= {
        "1",
        "2",
        "4",
    }
    for unknown in ("layer1.*", "0", "5"):
        with pytest.raises(pruners.UnknownLayer, match="exclude: .*" + re.escape(repr(unknown))):
            pruners.compress(network(), method, keep_ratio=0.5, exclude=["0.*", unknown])
    for no_list in ("0.*", 3, None, [4]):
        with pytest.raises(pruners.PrunerError, match="exclude takes a list of layer names or patterns"):
            pruners.compress(network(), method, keep_ratio=0.5, exclude=no_list)


def test_a_pattern_and_a_pin_of_one_layer_contradict_each_other():
    with pytest.raises(pruners.PrunerError, match="'4' is both excluded and set"):
        pruners.compress(
            network(), "alds", keep_ratio=0.9, exclude=["*"], layers={"4": {"rank": 1, "num_subspaces": 1}}
        )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("captured", [False, True])
def test_channels_last_survives(method, captured, tmp_path):
    dense = network().to(memory_format=torch.channels_last)
    artifact = pruners.compress(dense, method, keep_ratio=0.4, exclude=["2"])
    small = artifact.apply(dense)
    if captured:
        artifact.capture(small).save(tmp_path)
        small = pruners.load(tmp_path).apply(dense)
    convolutions = [module for module in small.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) >= 3
    for convolution in convolutions:
        again = torch.empty_like(convolution.weight).to(memory_format=torch.channels_last)
        assert convolution.weight.stride() == again.stride()
    batch = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(
        small(batch),
        pruners.compress(network(), method, keep_ratio=0.4, exclude=["2"]).apply(network())(batch),
    )
