"""The networks of ALDS, PFP, GraSP and SynFlow are theirs, and every layer of them can be compressed."""

import itertools
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.densenet import DenseNet

import pruners
import trainables
from trainables.config import TaskConfig
from trainables.task import networks
from trainables.task.networks.densenet import Layer, SmallDenseNet
from trainables.task.networks.wide_resnet import WideResNet

CIFAR = (3, 32, 32)
TINY_IMAGENET = (3, 64, 64)
GREY = (1, 28, 28)
METHODS: dict[str, dict[str, Any]] = {"alds": {}, "magnitude": {"min_layer_keep": 1}}


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def trained_a_little(network: nn.Module) -> nn.Module:
    """Give the network BatchNorm weights and statistics unlike those it began with."""
    for parameter in network.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, 0.5, 0.2)
    network.train()(torch.randn(8, *CIFAR))
    return network.eval()


def test_wrn16_8_has_the_weights_that_are_counted_by_hand() -> None:
    widths = list(itertools.pairwise([16, 128, 256, 512]))
    convolutions = 3 * 16 * 9 + sum(9 * (a * b + 3 * b * b) + a * b for a, b in widths)
    norms = sum(2 * a + 3 * 2 * b for a, b in widths) + 2 * 512
    assert size(networks.build("wrn16_8", {}, CIFAR, 10)) == convolutions + norms + 512 * 10 + 10


@pytest.mark.parametrize(
    ("depth", "widen", "published"), [(40, 1, 0.6e6), (40, 4, 8.9e6), (16, 8, 11.0e6), (28, 10, 36.5e6)]
)
def test_wide_resnets_have_the_parameters_of_their_paper(depth: int, widen: int, published: float) -> None:
    with torch.device("meta"):
        assert size(WideResNet((depth - 4) // 6, widen, 3, 10)) == pytest.approx(published, rel=0.07)


def test_a_wide_resnet_computes_what_its_authors_code_does() -> None:
    """szagoruyko/wide-residual-networks, models/wide-resnet.lua, written down in torch's functions."""
    network = trained_a_little(WideResNet(2, 1, 3, 10))
    images, state = torch.randn(2, *CIFAR), network.state_dict()

    def activated(features: Tensor, name: str) -> Tensor:
        statistics = (state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return functional.relu(functional.batch_norm(features, *statistics))

    out = functional.conv2d(images, state["conv.weight"], padding=1)
    for stage, stride in [(1, 1), (2, 2), (3, 2)]:
        for block in (f"stage{stage}.0", f"stage{stage}.1"):
            stride = stride if block.endswith("0") else 1
            active = activated(out, f"{block}.bn1")
            if f"{block}.projection.weight" in state:
                out = functional.conv2d(active, state[f"{block}.projection.weight"], stride=stride)
            active = functional.conv2d(active, state[f"{block}.conv1.weight"], stride=stride, padding=1)
            active = activated(active, f"{block}.bn2")
            out = out + functional.conv2d(active, state[f"{block}.conv2.weight"], padding=1)
    pooled = functional.avg_pool2d(activated(out, "bn"), 8).flatten(1)
    expected = functional.linear(pooled, state["linear.weight"], state["linear.bias"])
    torch.testing.assert_close(network(images), expected)


def test_densenet22_has_the_weights_that_are_counted_by_hand() -> None:
    layers = [inputs + 12 * number for inputs in (24, 30, 33) for number in range(3)]
    convolutions = 3 * 24 * 9 + sum(n * 48 + 48 * 12 * 9 for n in layers) + 60 * 30 + 66 * 33
    norms = sum(2 * n + 2 * 48 for n in layers) + 2 * (60 + 66 + 69)
    assert size(networks.build("densenet22", {}, CIFAR, 10)) == convolutions + norms + 69 * 10 + 10


@pytest.mark.parametrize(
    ("depth", "growth", "published"), [(100, 12, 0.8e6), (250, 24, 15.3e6), (190, 40, 25.6e6)]
)
def test_densenets_have_the_parameters_of_their_papers_table_2(
    depth: int, growth: int, published: float
) -> None:
    with torch.device("meta"):
        assert size(SmallDenseNet((depth - 4) // 6, growth, 3, 10)) == pytest.approx(published, rel=0.04)


def same_weights(network: nn.Module, reference: nn.Module) -> nn.Module:
    state = zip(reference.state_dict(), network.state_dict().values(), strict=True)
    reference.load_state_dict(dict(state))
    return reference.eval()


def test_densenet22_computes_what_torchvisions_densenet_with_its_stem_does() -> None:
    network = trained_a_little(networks.build("densenet22", {}, CIFAR, 10))
    reference = DenseNet(12, (3, 3, 3), 24, bn_size=4, num_classes=10)
    reference.features.conv0 = nn.Conv2d(3, 24, 3, padding=1, bias=False)
    reference.features.norm0 = reference.features.pool0 = nn.Identity()
    reference.features.relu0 = nn.Identity()
    images = torch.randn(2, *CIFAR)
    torch.testing.assert_close(network(images), same_weights(network, reference)(images))


def test_resnet18_computes_what_torchvisions_with_its_stem_does() -> None:
    network = trained_a_little(networks.build("resnet18", {}, CIFAR, 10))
    reference = torchvision.models.resnet18(num_classes=10)
    reference.conv1, reference.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    images = torch.randn(2, *CIFAR)
    torch.testing.assert_close(network(images), same_weights(network, reference)(images))


def test_vgg11_is_synflows() -> None:
    network = networks.build("vgg11", {"last_pooling": "average"}, CIFAR, 10)
    convolutions = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert convolutions == [64, 128, 256, 256, 512, 512, 512, 512]
    assert sum(isinstance(m, nn.MaxPool2d) for m in network.modules()) == 4
    wanted = sum(9 * a * b + 2 * b for a, b in itertools.pairwise([3, *convolutions])) + 512 * 10 + 10
    assert size(network) == wanted


@pytest.mark.parametrize("depth", [11, 16])
def test_synflows_vggs_for_tiny_imagenet(depth: int) -> None:
    """ganguli-lab/Synaptic-Flow, Models/tinyimagenet_vgg.py, less the biases before BatchNorm."""
    with torch.device("meta"):
        network = networks.build(f"vgg{depth}_tiny_imagenet", {}, TINY_IMAGENET, 200)
        reference = getattr(torchvision.models, f"vgg{depth}_bn")().features
    before_norms = sum(m.bias.numel() for m in reference if isinstance(m, nn.Conv2d))
    linears = [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
    assert linears == [(2048, 1024), (1024, 1024), (1024, 200)]
    wanted = size(reference) - before_norms + sum(a * b + b for a, b in linears)
    assert size(network) == wanted == {11: 12_576_008, 16: 18_071_688}[depth]
    assert [type(m) for m in network.features] == [type(m) for m in reference]
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]


def test_synflows_vgg_computes_what_torchvisions_does_on_64_pixels() -> None:
    network = networks.build("vgg11_tiny_imagenet", {}, TINY_IMAGENET, 200).eval()
    linears = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert [m.weight.std().item() for m in linears] == pytest.approx([0.01] * 3, rel=0.02)
    reference = torchvision.models.vgg11_bn(num_classes=200, init_weights=False)
    for module in reference.features:
        if isinstance(module, nn.Conv2d):
            module.bias = None
    reference.avgpool = nn.Identity()
    widths = itertools.pairwise([2048, 1024, 1024, 200])
    for place, (inputs, outputs) in zip((0, 3, 6), widths, strict=True):
        reference.classifier[place] = nn.Linear(inputs, outputs)
    images = torch.randn(2, *TINY_IMAGENET)
    torch.testing.assert_close(network(images), same_weights(network, reference)(images))


def test_synflows_resnet18_for_tiny_imagenet_is_that_for_cifar() -> None:
    with torch.device("meta"):
        network = networks.build("resnet18", {}, TINY_IMAGENET, 200)
        reference = torchvision.models.resnet18(num_classes=200)
        of_stem = network.stage1(network.conv(torch.zeros(1, *TINY_IMAGENET)))
    assert size(network) == size(reference) - 64 * 3 * (7 * 7 - 3 * 3) == 11_271_432
    assert of_stem.shape == (1, 64, 64, 64)


@pytest.mark.parametrize("name", ["densenet22", "wrn16_8"])
def test_initialisation_follows_the_seed(name: str) -> None:
    task = TaskConfig(name, "digits")
    one, again, other = (trainables.build_network(task, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["conv.weight"], other["conv.weight"])
    assert not torch.equal(one["linear.weight"], other["linear.weight"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("densenet22", {}, CIFAR),
        ("densenet22", {}, GREY),
        ("resnet18", {"width": 8}, CIFAR),
        ("resnet18", {"width": 8}, GREY),
        ("wrn16_8", {}, (1, 9, 12)),
    ],
    ids=str,
)
def test_all_layers_can_be_compressed_and_the_small_network_trains(
    name: str, options: dict[str, Any], shape: tuple[int, ...], method: str
) -> None:
    network = networks.build(name, options, shape, 10)
    layers = [key for key, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    reached = pruners.compressible(network) if method == "alds" else pruners.prunable(network)
    assert list(reached) == layers and pruners.unreached(network, method) == {}
    artifact = pruners.compress(network, method, keep_ratio=0.3, **METHODS[method])
    weights = sum(network.get_submodule(key).weight.numel() for key in layers)
    assert 0.25 * weights < artifact.params < 0.3 * weights + 1
    small = artifact.apply(network)
    outputs = small(torch.randn(2, *shape))
    outputs.square().sum().backward()
    assert outputs.shape == (2, 10) and outputs.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in small.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_a_compressed_densenet_still_concatenates(method: str) -> None:
    network = networks.build("densenet22", {}, CIFAR, 10)
    small = pruners.compress(network, method, keep_ratio=0.3, **METHODS[method]).apply(network)
    seen: list[tuple[int, int]] = []

    def check(_: nn.Module, inputs: tuple[Tensor], outputs: Tensor) -> None:
        kept = inputs[0].shape[1]
        assert torch.equal(outputs[:, :kept], inputs[0])
        assert outputs[:, kept:].any() and outputs.is_contiguous(memory_format=torch.channels_last)
        seen.append((kept, outputs.shape[1]))

    for module in small.modules():
        if isinstance(module, Layer):
            module.register_forward_hook(check)
    small(torch.randn(2, *CIFAR))
    inputs = [first + 12 * number for first in (24, 30, 33) for number in range(3)]
    assert seen == [(n, n + 12) for n in inputs]
