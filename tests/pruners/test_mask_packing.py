"""Masks packed on disk: the same bits come back, in less room than the dense network takes."""

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file, save_model
from torch import nn

import pruners
from pruners.sparse.packing import packed, unpacked
from pruners.testing.sparse.network import OddNetwork

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
SHAPES = st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple) | st.just((3000,)) | st.just((2, 0))
DENSITIES = st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.5, 0.9, 0.999, 1.0])


def drawn_mask(shape, density, seed):
    return torch.from_numpy(np.random.default_rng(seed).random(shape) < density)


def read_by_hand(form, content, size):
    """The documented form, read a weight at a time."""
    if form == "bits":
        return [bool(content[place // 8] >> (7 - place % 8) & 1) for place in range(size)]
    places, place = set(), 0
    for step in content:
        place += step
        if step != 255:
            places.add(place)
    return [(place in places) == (form == "kept") for place in range(size)]


@settings(max_examples=150, deadline=None)
@given(SHAPES, DENSITIES, st.integers(0, 2**32 - 1))
def test_every_mask_comes_back_from_the_shortest_form(shape, density, seed):
    mask = drawn_mask(shape, density, seed)
    stored = packed({"a/b.weight": mask})
    [(name, content)] = stored.items()
    form, _, of = name.partition("/")
    assert of == "a/b.weight"
    assert read_by_hand(form, content.tolist(), mask.numel()) == mask.flatten().tolist()
    assert torch.equal(unpacked(stored, {of: shape})[of], mask)
    rarer = min(int(mask.sum()), mask.numel() - int(mask.sum()))
    assert content.numel() <= min(-(-mask.numel() // 8), rarer + mask.numel() // 255)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(DTYPES), DENSITIES, st.integers(0, 2**32 - 1))
def test_a_captured_network_comes_back_to_the_bit(inputs, outputs, dtype, density, seed):
    generator = np.random.default_rng(seed)
    model = nn.Linear(inputs, outputs, dtype=dtype)
    for parameter in model.parameters():  # every bit pattern: NaN, infinities and -0.0 among them
        pattern = generator.integers(0, 256, parameter.numel() * parameter.element_size(), dtype=np.uint8)
        parameter.data = torch.from_numpy(pattern).view(dtype).view(parameter.shape)
    mask = pruners.Mask(
        "random", {}, pruners.prunable(model), {"weight": drawn_mask((outputs, inputs), density, seed)}
    )
    # not applied before: what stands in removed places must not matter
    captured = mask.capture(model)
    with tempfile.TemporaryDirectory() as folder:
        captured.save(folder)
        loaded = pruners.load(folder)
        weights = load_file(Path(folder, "model.safetensors"))["weight"]
    assert torch.equal(loaded.masks["weight"], mask.masks["weight"]) and loaded.complete
    assert weights.shape == (mask.params,) and weights.dtype == dtype
    expected, again = mask.apply(model), loaded.apply(nn.Linear(inputs, outputs))
    for name, parameter in expected.named_parameters():
        other = again.get_parameter(name)
        assert other.dtype == dtype and other.shape == parameter.shape
        assert torch.equal(other.detach().view(torch.uint8), parameter.detach().view(torch.uint8))


def bytes_in(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize(("keep_ratio", "most"), [(0.9, 0.95), (0.5, 0.56), (0.1, 0.14), (0.02, 0.05)])
@pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")  # layers are empty
def test_a_mask_takes_less_room_than_the_dense_network(tmp_path, keep_ratio, most):
    torch.manual_seed(0)
    lenet = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    (tmp_path / "dense").mkdir()
    save_model(lenet, str(tmp_path / "dense" / "model.safetensors"))
    mask = pruners.compress(lenet, "magnitude", keep_ratio=keep_ratio)
    mask.capture(mask.apply(lenet)).save(tmp_path / "small")
    assert bytes_in(tmp_path / "small") < most * bytes_in(tmp_path / "dense")


def test_a_weight_tied_to_an_embedding_is_written_once(tmp_path):
    torch.manual_seed(0)
    model = nn.ModuleDict({"embedding": nn.Embedding(70, 50), "decoder": nn.Linear(50, 70)})
    model["decoder"].weight = model["embedding"].weight
    mask = pruners.compress(model, "magnitude", keep_ratio=0.1)
    small = mask.apply(model)
    mask.capture(small).save(tmp_path)
    assert bytes_in(tmp_path) < 4 * 3500 / 4
    again = pruners.load(tmp_path).apply(model)
    assert again["decoder"].weight is again["embedding"].weight
    assert torch.equal(again["decoder"].weight, small["decoder"].weight)


def write_the_form_before(folder, masks, state):
    """Write a mask as it was written in format 2: bool tensors, and the state whole."""
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    save_file(masks, folder / "masks.safetensors")
    spec = {
        "format": 2,
        "kind": "mask",
        "complete": bool(state),
        "method": "snip",
        "options": {"allocation": "global", "seed": 3},
        "density": 0.5,
        "params": 6,
        "layers": {
            "0": {"params": 3, "dense_params": 8},
            "1": {"params": 3, "dense_params": 4},
        },
        "prunable": {
            "0": {"parameter": "0.weight", "shape": [2, 4], "kind": "linear"},
            "1": {"parameter": "1.weight", "shape": [2, 2], "kind": "output"},
        },
        "sha256": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.safetensors")
        },
    }
    (folder / "spec.json").write_text(json.dumps(spec))


OLD_MASKS = {
    "0.weight": torch.tensor([[True, False, False, False], [False, True, True, False]]),
    "1.weight": torch.tensor([[True, True], [False, True]]),
}


@pytest.mark.parametrize("complete", [True, False])
def test_the_form_before_still_loads(tmp_path, complete):
    torch.manual_seed(1)
    dense = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 2))
    state = {name: torch.randn_like(tensor) for name, tensor in dense.state_dict().items()}
    write_the_form_before(tmp_path / "old", OLD_MASKS, state if complete else {})
    loaded = pruners.load(tmp_path / "old")
    assert loaded.complete == complete and loaded.options == {"allocation": "global", "seed": 3}
    assert loaded.masks.keys() == OLD_MASKS.keys()
    assert all(torch.equal(mask, OLD_MASKS[name]) for name, mask in loaded.masks.items())
    loaded.save(tmp_path / "new")
    assert any("/" in name for name in load_file(tmp_path / "new" / "masks.safetensors"))
    expected = {
        name: torch.where(OLD_MASKS[name], tensor, 0) if name in OLD_MASKS else tensor
        for name, tensor in (state if complete else dense.state_dict()).items()
    }
    for folder in ("old", "new"):
        small = pruners.load(tmp_path / folder).apply(dense)
        assert all(torch.equal(tensor, expected[name]) for name, tensor in small.state_dict().items())


def test_a_mask_of_the_form_before_that_does_not_fit_is_told(tmp_path):
    masks = OLD_MASKS | {"1.weight": torch.ones(4, dtype=torch.bool)}
    write_the_form_before(tmp_path / "old", masks, {})
    with pytest.raises(pruners.BadArtifact, match="not those of its layers"):
        pruners.load(tmp_path / "old")


def rewritten(folder, file, change):
    """Change tensors of a file and its checksum with it, as no accident does."""
    tensors = load_file(folder / file)
    change(tensors)
    save_file(tensors, folder / file)
    spec = json.loads((folder / "spec.json").read_text())
    spec["sha256"][file] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / "spec.json").write_text(json.dumps(spec))


def of(tensors, parameter):
    return next(name for name in tensors if name.endswith(f"/{parameter}"))


def put(parameter, form, content):
    """Return the change that replaces a parameter's packed mask."""

    def change(tensors):
        del tensors[of(tensors, parameter)]
        tensors[f"{form}/{parameter}"] = content

    return change


BYTES = torch.ones(3, dtype=torch.uint8)
HIDDEN = "hidden.weight"
DAMAGES = {
    "a value less": ("model", lambda t: t.update({HIDDEN: t[HIDDEN][1:]}), "'hidden.weight' has"),
    "no values": ("model", lambda t: t.pop(HIDDEN), "KeyError"),
    "the weight whole": ("model", lambda t: t.update({HIDDEN: torch.ones(10, 24)}), "'hidden.weight' has"),
    "too few bits": ("masks", put(HIDDEN, "bits", BYTES), "not those of its layers"),
    "other bits": ("masks", put(HIDDEN, "bits", BYTES.repeat(10)), "'hidden.weight' has"),
    "places beyond": ("masks", put(HIDDEN, "kept", 200 * BYTES), "not those of its layers"),
    "unknown form": ("masks", put(HIDDEN, "runs", BYTES), "not those of its layers"),
    "no form": ("masks", lambda t: t.update({HIDDEN: BYTES}), "not those of its layers"),
    "floats": ("masks", put(HIDDEN, "kept", torch.ones(3)), "no packed mask"),
    "two forms": ("masks", lambda t: t.update({f"removed/{HIDDEN}": BYTES}), "no packed mask"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_fit_is_told_in_a_sentence(tmp_path, name):
    mask = pruners.compress(OddNetwork(), "magnitude", keep_ratio=0.3, min_layer_keep=1)
    mask.capture(mask.apply(OddNetwork())).save(tmp_path)
    file, change, message = DAMAGES[name]
    rewritten(tmp_path, f"{file}.safetensors", change)
    with pytest.raises(pruners.BadArtifact, match=message) as caught:
        pruners.load(tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path / "spec.json") in str(caught.value)


def test_capture_refuses_another_network(tmp_path):
    mask = pruners.compress(OddNetwork(), "magnitude", keep_ratio=0.3)
    with pytest.raises(pruners.BadArtifact, match="does not fit"):
        mask.capture(nn.Linear(3, 3))
