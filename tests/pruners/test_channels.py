"""The artifact of channels in use: smaller files, training, other networks, sizes that layers tell."""

from contextlib import nullcontext

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision.models.efficientnet import EfficientNet, MBConvConfig

import pruners
from pruners.channels.methods.channel_method import ChannelInputs, ChannelMethod
from pruners.channels.scoring import channel_scores
from pruners.testing.channels.networks import Chain, Grouped, Residual, images, made

EXAMPLE = images()


def test_the_small_network_trains():
    network = made(Residual)
    small = pruners.compress(network, "ft", keep_ratio=0.5, example=EXAMPLE).apply(network).train()
    inputs, labels = images(16), torch.arange(4).repeat(4)
    optimizer = torch.optim.Adam(small.parameters(), lr=0.05)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = cross_entropy(small(inputs), labels)
        loss.backward()
        assert all(p.grad is not None and p.grad.shape == p.shape for p in small.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_files_shrink_with_the_network(tmp_path):
    network = nn.Sequential(nn.Linear(3, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 2))
    artifact = pruners.compress(network, "l1", keep_ratio=0.25, example=torch.ones(1, 3))
    artifact.capture(artifact.apply(network)).save(tmp_path)
    dense = sum(4 * parameter.numel() for parameter in network.parameters())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 0.3 * dense


def test_layers_tell_their_new_sizes():
    network = made(Grouped)
    small = pruners.compress(network, "ft", keep_ratio=0.4, example=EXAMPLE).apply(network)
    fresh = [
        type(layer)(layer.in_channels, layer.out_channels, layer.kernel_size, groups=layer.groups)
        for layer in (small.stem, small.few, small.many, small.up, small.multiplied)
    ]
    weights = [small.stem, small.few, small.many, small.up, small.multiplied]
    assert [layer.weight.shape for layer in fresh] == [layer.weight.shape for layer in weights]
    assert small.many.groups < 4 and small.few.groups == 2 and small.multiplied.groups < 6
    assert small.norm.num_features == small.stem.out_channels
    chain = made(Chain)
    small = pruners.compress(chain, "ft", keep_ratio=0.4, example=EXAMPLE).apply(chain)
    assert (
        small[5].num_parameters == small[3].out_channels and small[8].in_features == 4 * small[3].out_channels
    )


def test_channels_last_stays():
    network = made(Residual).to(memory_format=torch.channels_last)
    small = pruners.compress(network, "ft", keep_ratio=0.5, example=EXAMPLE).apply(network)
    assert small.first.weight.is_contiguous(memory_format=torch.channels_last)


def test_frozen_weights_stay_frozen():
    network = made(Residual)
    network.first.weight.requires_grad_(False)
    small = pruners.compress(network, "ft", keep_ratio=0.5, example=EXAMPLE).apply(network)
    assert [n for n, p in small.named_parameters() if not p.requires_grad] == ["first.weight"]


def test_the_channels_with_the_smallest_filters_go():
    network = made(Chain)
    with torch.no_grad():
        network[0].weight[[1, 4]] *= 1e-3
        network[3].weight[:, [1, 4]] *= 100  # which only reads the channels
    for method in ("ft", "l1"):
        artifact = pruners.compress(network, method, keep_ratio=0.7, example=EXAMPLE)
        assert not {1, 4} & set(artifact.kept["0.weight"][0].tolist())


def test_bn_scale_goes_by_gamma_alone():
    network = made(Chain)
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([1.0, -3, 0.1, 2, -0.2, 0.3, 5, 4]))
        network[4].weight.fill_(9)
    artifact = pruners.compress(network, "bn_scale", keep_ratio=0.7, example=EXAMPLE)
    kept = artifact.kept["0.weight"][0].tolist()
    assert kept == sorted([6, 7, 1, 3, 0, 5, 4, 2][: len(kept)]) and artifact.layers["3"].channels == 6
    with pytest.raises(pruners.PrunerError, match="needs BatchNorm"):
        plain = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        pruners.compress(plain, "bn_scale", keep_ratio=0.7, example=torch.ones(1, 3))


def test_joined_filters_have_the_mean_of_their_norms():
    network = made(Residual)
    with torch.no_grad():
        for layer in (network.second, network.projection):
            layer.weight.fill_(1)
        network.second.weight[3] = 0.5
        network.projection.weight[7] = 0.4
    artifact = pruners.compress(network, "ft", keep_ratio=0.85, exclude=["stem"], example=EXAMPLE)
    assert set(range(10)) - set(artifact.kept["second.weight"][0].tolist()) >= {7}


def test_a_network_without_channels():
    with pytest.raises(pruners.PrunerError, match="no channels that could be removed"):
        pruners.compress(nn.Linear(4, 3), "ft", keep_ratio=0.5, example=torch.ones(1, 4))


def test_least_budgets_by_shapes():
    network = made(Residual)
    channels = pruners.NetworkChannels(network, EXAMPLE)
    for kind in ("keep_ratio", "budget", "flops_ratio"):
        least = pruners.least_budget(channels, kind, method="ft")
        assert least == pruners.least_budget(network, kind, method="ft", example=EXAMPLE)
        artifact = pruners.compress(network, "ft", example=EXAMPLE, **{kind: least})
        assert {layer.channels for layer in artifact.layers.values()} == {1, 4}


TORCHVISION = {
    "resnet18": lambda: torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1] * 4, 10),
    "densenet": lambda: torchvision.models.DenseNet(8, (2, 2, 2), 16, num_classes=10),
    "mobilenet_v2": lambda: torchvision.models.MobileNetV2(10, 0.25),
    "efficientnet": lambda: EfficientNet(
        [MBConvConfig(1, 3, 1, 16, 8, 1), MBConvConfig(6, 3, 2, 8, 12, 2)], 0.1
    ),
    "shufflenet": lambda: torchvision.models.ShuffleNetV2([1, 2, 1], [24, 48, 96, 192, 128], 10),
    "regnet": lambda: torchvision.models.RegNet(
        torchvision.models.regnet.BlockParams([1, 2], [32, 64], [8, 16], [1.0, 1.0], [2, 2], 0.25), 10
    ),
    "vit": lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 32, 64, num_classes=10),
    "googlenet": lambda: torchvision.models.GoogLeNet(10, init_weights=False),
}
"""torchvision's own classes, small where their arguments allow it."""


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.filterwarnings("ignore::pruners.UnreachedWarning")
def test_torchvision(name):
    torch.manual_seed(0)
    network = TORCHVISION[name]().eval()
    with torch.no_grad():
        for parameter in network.parameters():  # some begin with an output of zeros
            parameter.add_(0.02 * torch.randn_like(parameter))
    example = torch.randn(2, 3, 32, 32)
    # Torch-Pruning does not see where a shuffle takes channels
    left_whole = (
        pytest.warns(pruners.PrunerWarning, match="all stay") if name == "shufflenet" else nullcontext()
    )
    with left_whole:
        artifact = pruners.compress(network, "ft", flops_ratio=0.7, example=example)
    small = artifact.apply(network)
    with torch.no_grad():
        ours, back = small(example), artifact.project_back(small)(example)
        assert float((ours - back).abs().max()) < 1e-5 * float(back.abs().max())
    dense, left = (pruners.cost(one, example).multiply_adds for one in (network, small))
    # products of activations, as in attention, are no part of the budget
    compressible = dense if name != "vit" else dense - 2 * 2 * 2 * 17 * 17 * 32
    assert left <= dense - 0.3 * compressible
    if name != "vit":
        outputs = small.train()(example)  # auxiliary classifiers among them
        logits = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
        logits.sum().backward()


def test_the_same_weights_are_outside_the_budget_as_of_a_mask():
    network = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 20), nn.ReLU(), nn.Linear(20, 4))
    (name,) = pruners.unreached(network, "ft")
    assert name == "0.weight" and pruners.unreached(network, "magnitude").keys() == {name}
    assert "channels are for convolutions" in pruners.unreached(network, "ft")[name].reason
    dense = sum(layer.params for layer in pruners.prunable(network).values())
    assert pruners.NetworkChannels(network, torch.arange(5).view(1, 5)).total("parameters") == dense


def test_a_network_that_makes_single_precision_itself():
    class Cast(Residual):
        def forward(self, x):
            return super().forward(x.float())

    network = made(Cast)
    artifact = pruners.compress(network, "ft", keep_ratio=0.5, example=EXAMPLE)
    assert artifact.params <= 0.5 * sum(layer.params for layer in pruners.prunable(network).values())


def test_scores_of_another_size_are_told():
    class Short(ChannelMethod):
        name, title, paper = "short", "Short", "nowhere"

        def scores(self, network, groups, scoring_inputs, options):
            return {name: torch.ones(1) for name in groups}

    groups = pruners.NetworkChannels(made(Chain), EXAMPLE).groups
    inputs = ChannelInputs(EXAMPLE, [], [], None, torch.Generator())
    with pytest.raises(pruners.PrunerError, match=r"short gave scores of shape \(1,\) for '0'"):
        channel_scores(made(Chain), Short(), groups, inputs, 0, {})
