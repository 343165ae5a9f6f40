from typing import Any

import pytest
import torch
from torch import nn

import pruners
import trainables
from trainables.config import TaskConfig
from trainables.task import networks

USERS = "tests.trainables.users"


FITS = [
    (name, shape)
    for name in networks.BUILT_IN
    for shape in [(1, 8, 8), (3, 32, 32), (1, 28, 28)]
    if (name, shape[1]) != ("lenet5", 8) and name != "alexnet_bn"
]


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        *((name, {}, shape) for name, shape in FITS),
        ("resnet32", {"width": 4, "shortcut": "projection"}, (3, 17, 9)),
        ("resnet18", {"width": 4}, (3, 17, 9)),
        ("wrn16_8", {}, (3, 17, 9)),
        ("densenet22", {}, (3, 17, 9)),
        ("densenet22", {}, (1, 1, 2)),
        ("vgg19", {"last_pooling": "average"}, (3, 40, 24)),
        ("vgg16", {"last_pooling": "average"}, (1, 8, 8)),
        ("mlp", {"widths": [9, 5, 3], "dropout": 0.1}, (1, 40)),
        ("mlp", {"widths": []}, (1, 40)),
        ("lenet5", {}, (3, 16, 20)),
        ("alexnet_bn", {}, (1, 63, 70)),
    ],
    ids=str,
)
def test_every_built_in_fits_itself_to_the_data(
    name: str, options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    network = networks.build(name, options, shape, num_classes=7).eval()
    with torch.no_grad():
        outputs = network(torch.randn(2, *shape))
    assert outputs.shape == (2, 7)
    assert outputs.isfinite().all()


def params(name: str, shape: tuple[int, ...], classes: int, **options: Any) -> int:
    return sum(parameter.numel() for parameter in networks.build(name, options, shape, classes).parameters())


def test_published_sizes() -> None:
    assert params("lenet_300_100", (1, 28, 28), 10) == 266_610
    assert params("lenet5", (1, 28, 28), 10) == 431_080
    assert params("conv4", (3, 32, 32), 10) == 2_425_930
    assert params("resnet20", (3, 32, 32), 10) == 269_722
    assert params("resnet56", (3, 32, 32), 10) == 853_018
    assert (
        params("vgg16", (3, 32, 32), 10) == 14_728_266 - 4_224
    )  # the usual size, less the biases that BatchNorm makes pointless


@pytest.mark.parametrize(
    ("name", "all_weights", "conv_weights"),
    [("conv2", 4.3e6, 38e3), ("conv4", 2.4e6, 260e3), ("conv6", 2.26e6, 1.1e6)],
)
def test_conv_2_4_6_have_the_weights_of_the_lottery_tickets_figure_2(
    name: str, all_weights: float, conv_weights: float
) -> None:
    network = networks.build(name, {}, (3, 32, 32), 10)
    weights = {
        name: parameter.numel() for name, parameter in network.named_parameters() if name.endswith("weight")
    }
    convolutions = sum(module.weight.numel() for module in network.modules() if isinstance(module, nn.Conv2d))
    assert sum(weights.values()) == pytest.approx(all_weights, rel=0.02)
    assert convolutions == pytest.approx(conv_weights, rel=0.05)


@pytest.mark.parametrize("name", ["lenet_300_100", "conv2"])
def test_glorots_weights_have_his_variance_and_no_biases(name: str) -> None:
    layers = [
        m
        for m in networks.build(name, {"initialization": "glorot"}, (3, 32, 32), 10)
        if isinstance(m, nn.Conv2d | nn.Linear)
    ]
    for layer in layers:
        fan_out, fan_in = (layer.weight.shape[d] * layer.weight[0, 0].numel() for d in (0, 1))
        assert layer.weight.std().item() == pytest.approx((2 / (fan_in + fan_out)) ** 0.5, rel=0.15)
        assert layer.bias is not None and not layer.bias.any()


def test_conv4_keeps_its_parameters_names() -> None:
    names = networks.build("conv4", {}, (3, 32, 32), 10).state_dict()
    assert [name for name in names if name.endswith("weight")] == [
        f"{index}.weight" for index in (0, 2, 5, 7, 11, 13, 15)
    ]


def test_grasps_networks_are_those_of_its_official_code() -> None:
    resnet = networks.build("resnet32", {"width": 32, "shortcut": "projection"}, (3, 32, 32), 100)
    kernels = [tuple(m.weight.shape) for m in resnet.modules() if isinstance(m, nn.Conv2d)]
    assert [kernels.count((width, width, 3, 3)) for width in (32, 64, 128)] == [10, 9, 9]
    assert {(32, 3, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (64, 32, 1, 1), (128, 64, 1, 1)} < set(kernels)
    assert len(kernels) == 33 and resnet.linear.weight.shape == (100, 128)
    vgg = networks.build("vgg19", {"last_pooling": "average"}, (3, 32, 32), 10)
    assert [tuple(m.weight.shape) for m in vgg.modules() if isinstance(m, nn.Linear)] == [(10, 512)]
    assert sum(isinstance(m, nn.MaxPool2d) for m in vgg.modules()) == 4
    assert vgg.features(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 2, 2)
    assert params("vgg19", (3, 32, 32), 10) == params("vgg19", (3, 32, 32), 10, last_pooling="average")


def test_a_projection_stands_where_the_channels_change_and_nowhere_else() -> None:
    blocks = networks.build("resnet20", {"shortcut": "projection"}, (3, 32, 32), 10)
    projections = [
        name
        for name, module in blocks.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
    ]
    assert projections == ["stage2.0.projection.0", "stage3.0.projection.0"]
    plain = networks.build("resnet20", {}, (3, 32, 32), 10)
    assert [name for name in blocks.state_dict() if "projection" not in name] == list(plain.state_dict())


def test_options_reach_the_network() -> None:
    assert networks.build("resnet20", {"width": 4}, (1, 8, 8), 10).linear.in_features == 16
    dropouts = [
        m
        for m in networks.build("lenet_300_100", {"dropout": 0.5}, (1, 8, 8), 10)
        if isinstance(m, nn.Dropout)
    ]
    assert [dropout.p for dropout in dropouts] == [0.5, 0.5]


def test_initialisation_follows_the_seed_and_leaves_torchs_generator_alone() -> None:
    task, before = TaskConfig("resnet20", "digits", {"width": 4}), torch.get_rng_state()
    one, again, other = (trainables.build_network(task, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["conv.weight"], other["conv.weight"])
    assert torch.equal(before, torch.get_rng_state())


def test_torchvision_gets_the_datas_classes() -> None:
    network = networks.build("torchvision:mobilenet_v2", {}, (3, 32, 32), num_classes=7)
    assert network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 7)
    assert len(pruners.compressible(network)) == 53


def test_a_users_network_gets_its_options_alone() -> None:
    network = trainables.build_network(TaskConfig(f"{USERS}:network", "digits", {"width": 5}))
    assert network[0].out_channels == 5


def test_images_that_pooling_would_leave_nothing_of_are_refused() -> None:
    with pytest.raises(trainables.TaskError, match="conv6 needs images of at least 8x8, not 8x7"):
        networks.build("conv6", {}, (1, 8, 7), 10)
    assert networks.build("conv2", {}, (1, 2, 3), 10)(torch.zeros(1, 1, 2, 3)).shape == (1, 10)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("resnt20", {}, "there is no network 'resnt20'; did you mean resnet20?"),
        ("resnet20", {"widht": 4}, "network resnet20 has no option 'widht'; did you mean width?"),
        ("lenet5", {"width": 4}, "network lenet5 has no option 'width'; it takes none."),
        (
            "conv4",
            {"initialization": "glorott"},
            "there is no initialization 'glorott'; did you mean glorot?",
        ),
        ("lenet5", {}, "lenet5 needs images of at least 16x16, not 8x8."),
        ("alexnet_bn", {}, "alexnet_bn needs images of at least 63x63, not 8x8."),
        ("resnet20", {"shortcut": "project"}, "a ResNet has no shortcut 'project'; did you mean projection?"),
        ("vgg16", {"last_pooling": "mean"}, "a VGG has no last_pooling 'mean'; "),
        ("mlp", {"widths": [0.5]}, "network mlp raised TypeError: "),
        (
            "torchvision:resnet19",
            {},
            "torchvision has no classifier or segmentation network 'resnet19'; did you mean resnet18?",
        ),
        ("torchvision:resnet18", {"lite": True}, "network torchvision:resnet18 raised TypeError: .*'lite'"),
        (
            "torchvision:alexnet",
            {},
            r"network torchvision:alexnet cannot take inputs of digits, shape \(1, 8, 8\): RuntimeError: ",
        ),
        (
            "nowhere.at.all:net",
            {},
            "network nowhere.at.all:net: importing nowhere.at.all failed with ModuleNotFoundError: "
            "No module named",
        ),
        (f"{USERS}:netwrk", {}, "has no attribute 'netwrk'; did you mean network?"),
        (f"{USERS}:not_callable", {}, "not_callable is an int, not something that can be called."),
        (f"{USERS}:", {}, "is not of the form package.module:attribute."),
        (
            f"{USERS}:broken_network",
            {},
            f"network factory {USERS}:broken_network raised RuntimeError: no weights for you.",
        ),
        (f"{USERS}:network", {"size": 3}, f"network factory {USERS}:network raised TypeError: .*'size'"),
        (
            f"{USERS}:no_network",
            {},
            f"network factory {USERS}:no_network returned str, not a torch.nn.Module.",
        ),
        (f"{USERS}:tuple_network", {}, r"returns tuple for one input; logits \(1, 10\) are needed."),
        (f"{USERS}:blob_network", {}, r"returns a tensor of shape \(1, 1, 8, 3\) for one input"),
        (
            "torch.nn:Flatten",
            {"start_dim": 3},
            r"returns a tensor of shape \(1, 1, 8, 8\) for one input; logits \(1, 10\) are needed.",
        ),
    ],
)
def test_a_network_that_cannot_be_is_explained(network: str, options: dict, message: str) -> None:
    with pytest.raises(trainables.TaskError, match=message) as caught:
        trainables.build_network(TaskConfig(network, "digits", options))
    assert "\n" not in str(caught.value)


def test_a_network_that_takes_no_batch_of_one_is_looked_at_with_two_examples() -> None:
    task = TaskConfig(f"{USERS}:batch_network", "digits")
    network, example = trainables.build_network(task), trainables.example_input(task)
    assert network.training and len(example) == 1
    assert pruners.cost(network, example).multiply_adds == 64 * 32 + 32 * 10
    artifact = pruners.compress(network, "alds", flops_ratio=0.5, example=example)
    assert pruners.cost(artifact, example).multiply_adds == artifact.plan.cost <= (64 * 32 + 32 * 10) // 2
