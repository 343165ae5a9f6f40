"""VGG with BatchNorm for small images (Simonyan & Zisserman, ICLR 2015, table 1, A, D and E).

Its convolutions, and one Linear after them. The fifth group is followed by 2x2 max pooling as in the paper,
or, with ``last_pooling="average"``, by the global average alone, as in GraSP's and the lottery-ticket
authors' code (alecwangcq/GraSP, facebookresearch/open_lth). SynFlow's networks for Tiny-ImageNet have two
hidden Linears after them instead of the average (ganguli-lab/Synaptic-Flow, Models/tinyimagenet_vgg.py).
"""

import itertools
import math

import torch
from torch import Tensor, nn

from trainables.errors import TaskError, nearest

LAST_POOLINGS = ("max", "average")
_CHANNELS = (64, 128, 256, 512, 512)
_DEPTHS = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_HIDDEN = 1024


class SmallVGG(nn.Module):
    """Five groups of 3x3 convolutions, then a global average.

    2x2 max pooling follows a group as long as both sides are at least 2.
    """

    def __init__(
        self, depths: tuple[int, ...], input_shape: tuple[int, ...], num_classes: int, last_pooling: str
    ):
        super().__init__()
        if last_pooling not in LAST_POOLINGS:
            raise TaskError(
                f"a VGG has no last_pooling {last_pooling!r}; {nearest(last_pooling, LAST_POOLINGS)}"
            )
        layers, _ = _convolutions(depths, input_shape)
        if last_pooling == "average" and isinstance(layers[-1], nn.MaxPool2d):
            layers.pop()
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(_CHANNELS[-1], num_classes)
        _initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to logits (N, num_classes)."""
        return self.linear(torch.mean(self.features(images), dim=(2, 3)))


class TinyImageNetVGG(nn.Module):
    """Five groups of 3x3 convolutions as `SmallVGG`'s, each with its 2x2 max pooling, then three Linears.

    The two hidden ones have 1,024 units, ReLU and dropout of one half; their weights begin with a standard
    deviation of 0.01. Images of 64x64 leave them 2x2 positions of 512 channels.
    """

    def __init__(self, depths: tuple[int, ...], input_shape: tuple[int, ...], num_classes: int):
        super().__init__()
        layers, sides = _convolutions(depths, input_shape)
        self.features = nn.Sequential(*layers)
        widths = (_CHANNELS[-1] * math.prod(sides), _HIDDEN, _HIDDEN)
        hidden = ((nn.Linear(a, b), nn.ReLU(), nn.Dropout()) for a, b in itertools.pairwise(widths))
        self.classifier = nn.Sequential(*itertools.chain(*hidden), nn.Linear(_HIDDEN, num_classes))
        _initialize(self)
        for module in self.classifier:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, channels, H, W) to logits (N, num_classes)."""
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits


def _convolutions(depths: tuple[int, ...], input_shape: tuple[int, ...]) -> tuple[list[nn.Module], list[int]]:
    """Return the groups of convolutions with their pooling, and the sides of what images become."""
    channels, *sides = input_shape
    layers: list[nn.Module] = []
    for depth, outputs in zip(depths, _CHANNELS, strict=True):
        for _ in range(depth):
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            channels = outputs
        if min(sides) >= 2:
            layers.append(nn.MaxPool2d(2))
            sides = [side // 2 for side in sides]
    return layers, sides


def _initialize(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def vgg11(input_shape: tuple[int, ...], num_classes: int, *, last_pooling: str = "max") -> nn.Module:
    """Build VGG-11 with BatchNorm: 8 convolutions and one Linear, 9.2 million parameters."""
    return SmallVGG(_DEPTHS[11], input_shape, num_classes, last_pooling)


def vgg16(input_shape: tuple[int, ...], num_classes: int, *, last_pooling: str = "max") -> nn.Module:
    """Build VGG-16 with BatchNorm: 13 convolutions and one Linear, 14.7 million parameters."""
    return SmallVGG(_DEPTHS[16], input_shape, num_classes, last_pooling)


def vgg19(input_shape: tuple[int, ...], num_classes: int, *, last_pooling: str = "max") -> nn.Module:
    """Build VGG-19 with BatchNorm: 16 convolutions and one Linear, 20.0 million parameters."""
    return SmallVGG(_DEPTHS[19], input_shape, num_classes, last_pooling)


def vgg11_tiny_imagenet(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build SynFlow's VGG-11 for Tiny-ImageNet: 8 convolutions and three Linears.

    12.6 million parameters with 200 classes on images of 64x64.
    """
    return TinyImageNetVGG(_DEPTHS[11], input_shape, num_classes)


def vgg16_tiny_imagenet(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build SynFlow's VGG-16 for Tiny-ImageNet: 13 convolutions and three Linears.

    18.1 million parameters with 200 classes on images of 64x64.
    """
    return TinyImageNetVGG(_DEPTHS[16], input_shape, num_classes)
