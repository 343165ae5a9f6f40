"""Masks on disk and on networks: a captured network comes back whole, and damage is told in a sentence."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import pruners
from pruners.testing.sparse.network import WEIGHTS, OddNetwork


@pytest.fixture
def mask():
    return pruners.compress(OddNetwork(), "magnitude", keep_ratio=0.3, min_layer_keep=1)


def test_removed_weights_are_zero_whatever_they_were(mask):
    model = OddNetwork()
    with torch.no_grad():
        model.hidden.weight.fill_(float("inf"))
    small = mask.apply(model)
    kept = mask.masks["hidden.weight"]
    assert (small.hidden.weight[~kept] == 0).all() and small.hidden.weight[kept].isinf().all()
    assert model.hidden.weight.isinf().all()


def test_shared_weights_stay_shared(mask):
    small = mask.apply(OddNetwork())
    assert small.second.weight is small.first.weight
    assert int((small.second.weight == 0).sum()) == 100 - mask.layers["first"].params


def test_a_weight_shared_with_an_embedding():
    torch.manual_seed(0)
    model = nn.ModuleDict({"embedding": nn.Embedding(7, 5), "decoder": nn.Linear(5, 7)})
    model["decoder"].weight = model["embedding"].weight
    mask = pruners.compress(model, "magnitude", budget=11)
    small = mask.apply(model)
    assert small["embedding"].weight is small["decoder"].weight
    assert int(small["embedding"].weight.count_nonzero()) == 11


def test_excluding_one_of_the_layers_that_share_a_weight():
    for name in ("first", "second"):
        assert "first.weight" not in {
            layer.parameter for layer in pruners.prunable(OddNetwork(), [name]).values()
        }


def test_what_is_prunable():
    layers = pruners.prunable(OddNetwork())
    assert {name: layer.kind for name, layer in layers.items()} == {
        "stem.0": "conv",
        "grouped": "conv",
        "pointwise": "conv",
        "line": "conv",
        "hidden": "linear",
        "first": "linear",
        "gate": "linear",
        "output": "output",
    }
    assert sum(layer.params for layer in layers.values()) == WEIGHTS
    with torch.device("meta"):
        assert pruners.prunable(OddNetwork()) == layers


def test_a_captured_network_comes_back_whole(mask, tmp_path):
    small = mask.apply(OddNetwork())
    with torch.no_grad():
        small.output.bias += 1
    small.stem[1].running_mean += 2
    mask.capture(small).save(tmp_path)
    loaded = pruners.load(tmp_path)
    again = loaded.apply(OddNetwork())
    assert isinstance(loaded, pruners.Mask) and loaded.complete and not mask.complete
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in small.state_dict().items())
    assert again.second.weight is again.first.weight


def test_what_is_written_beside_the_masks(mask, tmp_path):
    mask.save(tmp_path)
    spec = json.loads((tmp_path / "spec.json").read_text())
    assert (spec["kind"], spec["method"], spec["params"]) == ("mask", "magnitude", mask.params)
    assert spec["layers"]["hidden"] == {"params": mask.layers["hidden"].params, "dense_params": 240}


def test_a_mask_of_another_network_is_refused(mask):
    with pytest.raises(pruners.BadArtifact, match="does not fit"):
        mask.apply(nn.Linear(3, 3))


def test_a_loaded_mask_has_no_network(mask, tmp_path):
    mask.save(tmp_path)
    with pytest.raises(pruners.PrunerError, match="no network beside it"):
        pruners.cost(pruners.load(tmp_path), torch.ones(1, 4, 6, 6))


def changed(directory, change):
    spec = json.loads((directory / "spec.json").read_text())
    change(spec)
    (directory / "spec.json").write_text(json.dumps(spec))


DAMAGES = {
    "no masks": (lambda d: (d / "masks.safetensors").unlink(), "masks.safetensors cannot be read"),
    "masks cut": (lambda d: (d / "masks.safetensors").write_bytes(b""), "masks.safetensors is damaged"),
    "other masks": (
        lambda d: save_file({"w": torch.ones(2)}, d / "masks.safetensors"),
        "masks.safetensors is damaged",
    ),
    "masks forgotten": (
        lambda d: changed(d, lambda s: s["sha256"].pop("masks.safetensors")),
        "spec.json is damaged",
    ),
    "other shape": (
        lambda d: changed(d, lambda s: s["prunable"]["gate"].update(shape=[2, 2])),
        "masks are not those of its layers",
    ),
    "no shape": (
        lambda d: changed(d, lambda s: s["prunable"]["gate"].update(shape=7)),
        "spec.json is damaged",
    ),
    "a layer less": (
        lambda d: changed(d, lambda s: s["prunable"].pop("gate")),
        "masks are not those of its layers",
    ),
    "options a text": (lambda d: changed(d, lambda s: s.update(options="none")), "spec.json is damaged"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_told_in_a_sentence(mask, tmp_path, name):
    mask.save(tmp_path)
    damage, message = DAMAGES[name]
    damage(tmp_path)
    with pytest.raises(pruners.BadArtifact, match=message) as caught:
        pruners.load(tmp_path)
    assert "\n" not in str(caught.value)
