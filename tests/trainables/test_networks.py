import pytest
import torch

import pruners
import trainables
from trainables import networks
from trainables.config import TaskConfig

USERS = "tests.trainables.users"


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28)], ids=str)
@pytest.mark.parametrize("name", networks.BUILT_IN)
def test_every_built_in_fits_itself_to_the_data(name: str, shape: tuple[int, ...]) -> None:
    network = networks.build(name, {}, shape, num_classes=7).eval()
    with torch.no_grad():
        outputs = network(torch.randn(2, *shape))
    assert outputs.shape == (2, 7)
    assert outputs.isfinite().all()


def test_published_sizes() -> None:
    def params(name: str, shape: tuple[int, ...], classes: int) -> int:
        return sum(parameter.numel() for parameter in networks.build(name, {}, shape, classes).parameters())

    assert params("lenet_300_100", (1, 28, 28), 10) == 266_610
    assert params("conv4", (3, 32, 32), 10) == 2_425_930
    assert params("resnet20", (3, 32, 32), 10) == 269_722
    assert params("resnet56", (3, 32, 32), 10) == 853_018
    assert params("vgg16", (3, 32, 32), 10) == 14_728_266 - 4_224  # the usual size, less the biases that BatchNorm makes pointless


def test_options_reach_the_network() -> None:
    assert networks.build("resnet20", {"width": 4}, (1, 8, 8), 10).linear.in_features == 16
    dropouts = [m for m in networks.build("lenet_300_100", {"dropout": 0.5}, (1, 8, 8), 10) if isinstance(m, torch.nn.Dropout)]
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


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("resnt20", {}, "there is no network 'resnt20'; did you mean resnet20?"),
        ("resnet20", {"widht": 4}, "network resnet20 has no option 'widht'; did you mean width?"),
        ("conv4", {"width": 4}, "network conv4 has no option 'width'; it takes none."),
        ("torchvision:resnet19", {}, "torchvision has no classifier 'resnet19'; did you mean resnet18?"),
        ("torchvision:resnet18", {"lite": True}, "network torchvision:resnet18 raised TypeError: .*'lite'"),
        ("torchvision:resnet18", {}, r"network torchvision:resnet18 cannot take inputs of digits, shape \(1, 8, 8\): RuntimeError: "),
        ("nowhere.at.all:net", {}, "network nowhere.at.all:net: importing nowhere.at.all failed with ModuleNotFoundError: No module named"),
        (f"{USERS}:netwrk", {}, "has no attribute 'netwrk'; did you mean network?"),
        (f"{USERS}:not_callable", {}, "not_callable is an int, not something that can be called."),
        (f"{USERS}:", {}, "is not of the form package.module:attribute."),
        (f"{USERS}:broken_network", {}, f"network factory {USERS}:broken_network raised RuntimeError: no weights for you."),
        (f"{USERS}:network", {"size": 3}, f"network factory {USERS}:network raised TypeError: .*'size'"),
        (f"{USERS}:no_network", {}, f"network factory {USERS}:no_network returned str, not a torch.nn.Module."),
        (f"{USERS}:tuple_network", {}, r"returns tuple for one input; logits \(1, 10\) are needed."),
        (f"{USERS}:blob_network", {}, r"returns a tensor of shape \(1, 1, 8, 3\) for one input"),
        ("torch.nn:Flatten", {"start_dim": 3}, r"returns a tensor of shape \(1, 1, 8, 8\) for one input; logits \(1, 10\) are needed."),
    ],
)
def test_a_network_that_cannot_be_is_explained(network: str, options: dict, message: str) -> None:
    with pytest.raises(trainables.TaskError, match=message) as caught:
        trainables.build_network(TaskConfig(network, "digits", options))
    assert "\n" not in str(caught.value)
