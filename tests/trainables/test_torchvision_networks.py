"""Every classifier and segmentation network of torchvision, by name, for a task's classes and channels."""

import re
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

import trainables
from trainables.config import TaskConfig
from trainables.task import networks
from trainables.task.outputs import class_scores

CLASSIFIERS, SEGMENTATION = (models.list_models(module=m) for m in (models, models.segmentation))
SIDES = {"alexnet": 64, "vit_h_14": 42, "inception_v3": 299, "maxvit_t": 224}  # pixels; all others take 32
REGNETS = [name for name in CLASSIFIERS if name.startswith("regnet")]
OTHERS = [name for name in CLASSIFIERS if name not in REGNETS]


def first_convolution(network: nn.Module) -> nn.Conv2d:
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d))


def on_meta(name: str, channels: int, classes: int) -> nn.Module:
    side = SIDES.get(name, 32)
    with torch.device("meta"):
        return networks.build(f"torchvision:{name}", {}, (channels, side, side), classes)


@pytest.mark.parametrize(
    "name", ["resnet18", "efficientnet_b0", "swin_t", "googlenet", "squeezenet1_1", "vit_b_32"]
)
def test_a_network_of_each_form_takes_grey_images_and_few_classes(name: str) -> None:
    torch.manual_seed(0)
    network = networks.build(f"torchvision:{name}", {}, (1, 32, 32), 7).train()
    outputs = class_scores(network(torch.randn(2, 1, 32, 32)))
    assert isinstance(outputs, Tensor) and outputs.shape == (2, 7) and outputs.isfinite().all()


@pytest.mark.parametrize("names", [OTHERS[::2], OTHERS[1::2]], ids=["even", "odd"])
def test_every_classifier_is_built_for_the_task(names: list[str]) -> None:
    for name in names:
        network = on_meta(name, 2, 7)
        assert first_convolution(network).in_channels == 2, name
        last = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
        assert last.weight.shape[0] == 7, name


def test_the_smallest_of_the_regnets_are_built() -> None:
    """The others have the same builder, which reads a tensor's numbers and so has none on the meta device."""
    assert len(REGNETS) == 15 and len(OTHERS) > 60
    for name in ("regnet_x_400mf", "regnet_y_400mf"):
        network = networks.build(f"torchvision:{name}", {}, (1, 32, 32), 7).eval()
        assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 7)


def test_every_segmentation_network_is_built_without_fetching_weights() -> None:
    for name in SEGMENTATION:
        outputs = on_meta(name, 1, 5).eval()(torch.empty(1, 1, 32, 32, device="meta"))
        assert isinstance(outputs, Mapping) and list(outputs) == ["out"], name
        assert outputs["out"].shape == (1, 5, 32, 32), name


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_are_read_by_the_colours_filters(channels: int) -> None:
    def build(channels: int) -> nn.Module:
        torch.manual_seed(0)
        return networks.build("torchvision:squeezenet1_1", {}, (channels, 32, 32), 7).eval()

    colours, other = build(3), build(channels)
    grey = torch.randn(2, 1, 33, 33)
    if channels == 1:  # a grey image says what its three equal colours do
        torch.testing.assert_close(other(grey), colours(grey.expand(-1, 3, -1, -1)))
    weight, of_colours = first_convolution(other).weight, first_convolution(colours).weight
    assert weight.shape == (64, channels, 3, 3) and weight.requires_grad
    if channels == 4:
        torch.testing.assert_close(weight, of_colours[:, [0, 1, 2, 0]] * 0.75)
    assert weight.sum(1).std().item() == pytest.approx(of_colours.sum(1).std().item(), rel=0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_b_32", "Input shape indivisible by patch size"),
        ("maxvit_t", r"Input size \(2, 2\) of block 0 is not divisible by partition size 7"),
        ("inception_v3", "cannot take inputs of digits, shape .1, 8, 8.: RuntimeError: "),
        ("vgg11", "cannot take inputs of digits, shape .1, 8, 8.: RuntimeError: .*Output size is too small"),
    ],
)
def test_images_that_a_network_cannot_take_are_told(name: str, message: str) -> None:
    with pytest.raises(trainables.TaskError, match=f"^network torchvision:{name} .*{message}") as caught:
        trainables.build_network(TaskConfig(f"torchvision:{name}", "digits"))
    assert not re.search("\n", str(caught.value))
