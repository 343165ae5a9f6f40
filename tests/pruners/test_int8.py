"""Networks made int8: their sums by hand in integers, their files, and what is refused."""

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.nn.utils import prune
from torchvision.models import VisionTransformer

import pruners
from pruners.quantization.int8 import Activations
from pruners.testing.lowrank.networks import small_network

FLOAT, INT8 = torch.float32, torch.int8


def drawn(images: int) -> Tensor:
    """Images for `small_network`, of several sizes of values."""
    return torch.randn(images, 4, 8, 8, generator=torch.Generator().manual_seed(images))


def sum_in_integers(
    inputs: np.ndarray, node: Node, weight: Tensor, scales: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """The outputs of one layer on columns (n, in, positions) by the rounding that ``node`` says."""
    scale, zero, low, high = (float(value) for value in node.args[1:5])
    rounded = np.clip(np.rint(inputs.astype(np.float32) / np.float32(scale)) + zero, low, high) - zero
    sums = np.einsum("oi,nip->nop", weight.flatten(1).numpy().astype(np.int64), rounded.astype(np.int64))
    return scale * scales[None, :, None] * sums + bias[None, :, None]


def parts_of(made: pruners.Int8Network) -> tuple[Node, dict[str, Tensor]]:
    """The first rounding of the inputs, and the tensors of a network of one layer."""
    operator = torch.ops.quantized_decomposed.quantize_per_tensor.default
    rounding = next(node for node in made.graph.graph.nodes if node.target is operator)
    return rounding, made.graph.state_dict()


@pytest.mark.parametrize("layer", ["linear", "convolution"])
def test_the_sums_are_those_of_integers(layer: str) -> None:
    torch.manual_seed(0)
    network = nn.Linear(12, 5) if layer == "linear" else nn.Conv2d(3, 5, 2)
    images = torch.randn(40, 12) if layer == "linear" else torch.randn(40, 3, 4, 4)
    made = pruners.quantize(network, images)
    rounding, tensors = parts_of(made)
    weight, scales = tensors["_frozen_param0"], tensors["_scale_0"]
    assert weight.dtype == INT8 and not any(t.dtype == FLOAT and t.dim() > 1 for t in tensors.values())
    # each channel's largest weight is at an end of its range, and every weight at the nearest value
    rebuilt = scales.view(-1, *[1] * (weight.dim() - 1)) * weight
    off = (rebuilt - network.weight.detach()).abs().flatten(1).amax(1)
    assert bool((off <= 0.5001 * scales).all()) and int(weight.int().abs().flatten(1).amax(1).min()) >= 127
    columns = images.unsqueeze(-1) if layer == "linear" else nn.functional.unfold(images, 2)
    by_hand = sum_in_integers(
        columns.numpy(), rounding, weight, scales.double().numpy(), network.bias.detach().double().numpy()
    )
    for computed in (made(images), made.lowered(images)(images)):
        np.testing.assert_allclose(computed.numpy().reshape(by_hand.shape), by_hand, atol=2e-6)


@pytest.mark.parametrize(("padding", "dilation"), [("same", 1), ("same", 2), ("valid", 1)])
def test_padding_by_name_is_padding_in_numbers(padding: str, dilation: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 6, 3, padding=padding, dilation=dilation), nn.ReLU())
    made = pruners.quantize(network, drawn(24))
    with torch.no_grad():
        dense = network(drawn(5))
    assert any(tensor.dtype == INT8 for tensor in made.graph.state_dict().values())
    assert float((made(drawn(5)) - dense).norm() / dense.norm()) < 0.03


def test_the_divergence_is_that_of_the_images() -> None:
    torch.manual_seed(0)
    network, images = small_network().eval(), drawn(48)
    made = pruners.quantize(network, images)
    with torch.no_grad():
        p, q = network(images).double().log_softmax(1), made(images).double().log_softmax(1)
    assert made.divergence == pytest.approx(float((p.exp() * (p - q)).sum(1).mean()), rel=1e-6)
    assert 0 < made.divergence < 1e-3


SMALL = {
    "dense": lambda network: network,
    "low rank": lambda network: pruners.compress(network, "alds", keep_ratio=0.5).apply(network),
    "Tucker": lambda network: pruners.compress(network, "tucker", keep_ratio=0.5).apply(network),
    "masked": lambda network: pruners.compress(network, "magnitude", keep_ratio=0.3).apply(network),
    "fewer channels": lambda network: pruners.compress(network, "ft", keep_ratio=0.5, example=drawn(1)).apply(
        network
    ),
}


@pytest.mark.parametrize("kind", SMALL)
def test_small_networks_of_every_kind_are_made_int8_and_come_back(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SMALL[kind](small_network().eval()).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = drawn(48)
    made = pruners.quantize(network, images)
    made.save(tmp_path / "int8.pt2")
    loaded = pruners.load_int8(tmp_path / "int8.pt2")
    for several in (1, 2, 5, 48):  # batches of any size
        assert torch.equal(loaded(images[:several]), made(images[:several]))
    assert (loaded.activations, loaded.divergence) == ("static", made.divergence)
    lowered = loaded.lowered(images)
    layers = [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    assert sum(
        "onednn.q" in str(n.target) and "prepack" not in str(n.target) for n in lowered.graph.nodes
    ) == len(layers)
    with torch.no_grad():
        dense = network(images)
    assert float((lowered(images) - made(images)).norm() / dense.norm()) < 0.02
    assert float((made(images) - dense).norm() / dense.norm()) < 0.1
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network.training is False and made.train().training is False
    loaded.save(tmp_path / "again.pt2")
    assert torch.equal(pruners.load_int8(tmp_path / "again.pt2")(images), made(images))


def test_the_file_is_a_quarter_holds_no_image_and_needs_torch_alone(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(600, 300), nn.ReLU(), nn.Linear(300, 10))
    images = torch.rand(64, 1, 20, 30)
    file = tmp_path / "int8.pt2"
    made = pruners.quantize(network, images)
    made.save(file)
    assert file.stat().st_size < 0.27 * 4 * sum(p.numel() for p in network.parameters())
    torch.save((images, made(images)), tmp_path / "outputs.pt")
    code = f"""
import sys, torch
import torch.ao.quantization.fx._decomposed
program = torch.export.load({str(file)!r})
images, outputs = torch.load({str(tmp_path / "outputs.pt")!r})
assert torch.equal(program.module()(images), outputs)
assert not program.example_inputs[0][0].any() and not {{"torchao", "pruners"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("activations", ["static", "dynamic"])
def test_every_matrix_of_a_transformer_is_int8(activations: Activations) -> None:
    torch.manual_seed(0)
    network = VisionTransformer(16, 8, 2, 2, 16, 32, num_classes=5)
    nn.init.normal_(network.heads[0].weight)
    network.eval()
    images = torch.randn(8, 3, 16, 16)
    made = pruners.quantize(network, images, activations)
    weights = [t for t in made.graph.state_dict().values() if t.dtype == INT8]
    # of each layer the packed projection, the output's and two of its MLP; the head, and the convolution
    assert len(weights) == 2 * 4 + 1 + (activations == "static")
    with torch.no_grad():
        dense = network(images)
        fast = made.lowered(images)(images)
    assert float((made(images) - dense).norm() / dense.norm()) < 0.1
    assert float((fast - dense).norm() / dense.norm()) < 0.1
    assert made.latency_ms(images[:1]) > 0


def test_inputs_by_name_and_padding() -> None:
    torch.manual_seed(0)
    network = ByName().eval()
    tokens = torch.randint(0, 9, (6, 5))
    inputs = {"tokens": tokens, "padding": tokens == 0}
    made = pruners.quantize(network, inputs)
    with torch.no_grad():
        dense = network(**inputs)["logits"]
    assert float((made(**inputs)["logits"] - dense).norm() / dense.norm()) < 0.1
    one = {name: tensor[:1] for name, tensor in inputs.items()}
    assert torch.allclose(made(**one)["logits"], made(**inputs)["logits"][:1], atol=1e-6)
    assert made.latency_ms(one) > 0


class ByName(nn.Module):
    """Tokens and where they are padding, to a dictionary; torch's encoder would fuse what is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor, padding: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head(self.layer(self.embedding(tokens), src_key_padding_mask=padding).mean(1))}


class Undecided(nn.Module):
    """It goes by the values of its inputs, which no graph can."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if x.sum() > 0 else self.layer(-x)


@pytest.mark.parametrize(
    ("network", "activations", "said"),
    [
        (nn.Linear(4, 2), "int4", r"activations are static or dynamic, not 'int4'\."),
        (nn.Linear(4, 2).double(), "static", r"made int8 from float32, and 'weight' is torch\.float64\."),
        (Undecided(), "static", r"cannot be made int8: torch\.export does not follow it \(.+\)\."),
        (
            nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)),
            "static",
            r"BatchNorm's running statistics folded into its layers, and '1' keeps none\.",
        ),
        (
            prune.l1_unstructured(nn.Linear(4, 2), "weight", 0.5),
            "static",
            r"cannot be made int8: torchao does not quantise it \(mul is not an aten linear operator\)\.",
        ),
        (
            nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Conv1d(4, 2, 1)),
            "dynamic",
            "each Linear, and it has none",
        ),
        (nn.Linear(3, 2), "static", r"The network cannot be run on inputs of shape \(8, 4\)"),
    ],
)
def test_what_cannot_be_int8_is_said(network: nn.Module, activations: str, said: str) -> None:
    with pytest.raises(pruners.PrunerError, match=said):
        pruners.quantize(network, torch.ones(8, 4), activations)  # type: ignore[arg-type]


def test_other_processors_and_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    images = torch.randn(8, 4)
    made = pruners.quantize(nn.Linear(4, 2), images)
    with pytest.raises(pruners.BadArtifact, match=r"int8\.pt2 cannot be read \(No such file .*\)\."):
        pruners.load_int8(tmp_path / "int8.pt2")
    made.save(tmp_path / "int8.pt2")
    content = (tmp_path / "int8.pt2").read_bytes()
    (tmp_path / "int8.pt2").write_bytes(content[: len(content) // 2])
    with pytest.raises(pruners.BadArtifact, match=r"int8\.pt2 is damaged or no int8 network: \w+\."):
        pruners.load_int8(tmp_path / "int8.pt2")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(pruners.PrunerError, match=r"for x86 processors, and this is arm64\."):
        made.lowered(images)
