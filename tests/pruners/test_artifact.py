"""Artifacts on disk: all of a retrained network comes back, and damage is told in a sentence."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import pruners


class Buffered(nn.Module):
    """A network with a buffer that its state dict leaves out."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(40, 20)
        self.norm = nn.BatchNorm1d(20)
        self.register_buffer("offset", torch.zeros(20), persistent=False)

    def forward(self, x):
        return self.norm(self.body(x)) + self.offset


@pytest.fixture
def saved(network, tmp_path):
    pruners.compress(network, keep_ratio=0.3).save(tmp_path)
    return tmp_path


def test_a_captured_network_comes_back_whole(tmp_path):
    torch.manual_seed(0)
    model = Buffered()
    small = pruners.compress(model, keep_ratio=0.4).apply(model)
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    small.train()(torch.randn(8, 40)).square().sum().backward()
    optimizer.step()
    small.offset += 1
    pruners.compress(model, keep_ratio=0.4).capture(small).save(tmp_path)
    again = pruners.load(tmp_path).apply(Buffered()).eval()
    x = torch.randn(3, 40)
    assert torch.equal(again(x), small.eval()(x))
    assert again.state_dict().keys() == small.state_dict().keys()


def test_capture_copies(network, batch):
    artifact = pruners.compress(network, keep_ratio=0.3)
    small = artifact.apply(network)
    expected = small(batch)
    captured = artifact.capture(small)
    for parameter in small.parameters():
        parameter.data.zero_()
    assert torch.equal(captured.apply(network)(batch), expected)
    assert captured.plan == artifact.plan and captured.errors == artifact.errors


def test_capture_keeps_the_precision_it_saw(network, batch, tmp_path):
    artifact = pruners.compress(network, keep_ratio=0.3)
    small = artifact.apply(network).double()
    artifact.capture(small).save(tmp_path)
    assert torch.equal(pruners.load(tmp_path).apply(network)(batch.double()), small(batch.double()))


def test_capture_refuses_the_dense_network(network):
    with pytest.raises(pruners.BadArtifact, match="not decomposed"):
        pruners.compress(network, keep_ratio=0.3).capture(network)


def test_complete_artifact_refuses_another_network(network, tmp_path):
    artifact = pruners.compress(network, keep_ratio=0.3)
    artifact.capture(artifact.apply(network)).save(tmp_path)
    with pytest.raises(pruners.BadArtifact, match="only in the network"):
        pruners.load(tmp_path).apply(nn.Sequential(*network, nn.Linear(10, 10)))


def test_saving_again_replaces(saved, network):
    pruners.compress(network, keep_ratio=0.5).save(saved)
    assert pruners.load(saved).plan == pruners.plan(network, keep_ratio=0.5)
    assert sorted(p.name for p in saved.iterdir()) == ["model.safetensors", "spec.json"]


def test_the_form_before_still_loads(saved):
    artifact = pruners.load(saved)
    damage_spec(saved, lambda spec: (spec.pop("tied"), spec.update(format=2)))
    again = pruners.load(saved)
    assert again.plan == artifact.plan and again.tensors.keys() == artifact.tensors.keys()
    assert all(torch.equal(tensor, artifact.tensors[name]) for name, tensor in again.tensors.items())


def test_a_tied_weight_is_written_once(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 30), nn.Linear(30, 8))
    model[2].weight = model[0].weight
    with pytest.warns(pruners.PrunerWarning, match="stays dense"):
        artifact = pruners.compress(model, keep_ratio=0.9)
    small = artifact.apply(model)
    artifact.capture(small).save(tmp_path)
    assert "2.weight" not in load_file(tmp_path / "model.safetensors")
    again = pruners.load(tmp_path).apply(model)
    assert again[2].weight is again[0].weight
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in small.state_dict().items())


def damage_spec(directory, change):
    path = directory / "spec.json"
    spec = json.loads(path.read_text())
    change(spec)
    path.write_text(json.dumps(spec))


DAMAGES = {
    "no spec": (lambda d: (d / "spec.json").unlink(), "spec.json cannot be read"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "model.safetensors cannot be read"),
    "spec cut": (
        lambda d: (d / "spec.json").write_bytes((d / "spec.json").read_bytes()[:90]),
        "spec.json is damaged",
    ),
    "spec is binary": (lambda d: (d / "spec.json").write_bytes(b"\xff\xfe\x00"), "spec.json is damaged"),
    "spec is a list": (lambda d: (d / "spec.json").write_text("[]"), "spec.json is damaged"),
    "weights cut": (
        lambda d: (d / "model.safetensors").write_bytes((d / "model.safetensors").read_bytes()[:-9]),
        "model.safetensors is damaged",
    ),
    "other kind": (lambda d: damage_spec(d, lambda s: s.update(kind="clay")), "is a clay of format 3"),
    "later format": (lambda d: damage_spec(d, lambda s: s.update(format=99)), "of format 99"),
    "no plan": (lambda d: damage_spec(d, lambda s: s.pop("plan")), "spec.json is damaged"),
    "tied to nothing": (
        lambda d: damage_spec(d, lambda s: s["tied"].update(model={"x": "y"})),
        "spec.json is damaged",
    ),
    "odd layer": (
        lambda d: damage_spec(d, lambda s: s["plan"]["layers"].update(x={"rank": 1})),
        "spec.json is damaged",
    ),
    "a shape is gone": (
        lambda d: damage_spec(d, lambda s: s["shapes"].pop(next(iter(s["shapes"])))),
        "the shapes are not those of its layers",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_told_in_a_sentence(saved, name):
    damage, message = DAMAGES[name]
    damage(saved)
    with pytest.raises(pruners.BadArtifact, match=message) as caught:
        pruners.load(saved)
    assert "\n" not in str(caught.value)


def test_a_missing_directory(tmp_path):
    with pytest.raises(pruners.BadArtifact, match="No artifact at"):
        pruners.load(tmp_path / "nowhere")
