"""ResNets for small images (He et al., CVPR 2016, section 4.2): stages of two-convolution blocks.

The convolutions are 3x3; ResNet-18 has four stages, the others three. Where the channels change, ``shortcut``
says how the block's input is fitted to its output: ``pad`` subsamples and fills up with zeros (the paper's
option A, without weights), ``projection`` is a 1x1 convolution with BatchNorm (option B). GraSP's, ALDS's and
the lottery-ticket authors' code (alecwangcq/GraSP, lucaslie/torchprune, facebookresearch/open_lth) have the
projection.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import TaskError, nearest

SHORTCUTS = ("pad", "projection")


class Block(nn.Module):
    """Two 3x3 convolutions with BatchNorm around a shortcut.

    ``projection`` gives it weights where the channels change.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, projection: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.new_channels = stride, outputs - inputs
        self.projection = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if projection and self.new_channels
            else None
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        out = functional.relu(self.bn1(self.conv1(inputs)))
        out = self.bn2(self.conv2(out))
        return functional.relu(out + self._shortcut(inputs))

    def _shortcut(self, inputs: Tensor) -> Tensor:
        if self.projection is not None:
            projected: Tensor = self.projection(inputs)
            return projected
        shortcut = inputs[:, :, :: self.stride, :: self.stride] if self.stride > 1 else inputs
        if self.new_channels:
            before = self.new_channels // 2
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, before, self.new_channels - before))
        return shortcut


class SmallResNet(nn.Module):
    """A 3x3 stem, ``stages`` stages of ``blocks`` blocks, global average pooling, Linear.

    The stages have 1, 2, 4 (and 8) times ``width`` channels.
    """

    def __init__(
        self, blocks: int, in_channels: int, num_classes: int, width: int, shortcut: str, stages: int = 3
    ):
        super().__init__()
        if shortcut not in SHORTCUTS:
            raise TaskError(f"a ResNet has no shortcut {shortcut!r}; {nearest(shortcut, SHORTCUTS)}")
        projection = shortcut == "projection"
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.stage1 = self._stage(blocks, width, width, 1, projection)
        self.stage2 = self._stage(blocks, width, 2 * width, 2, projection)
        self.stage3 = self._stage(blocks, 2 * width, 4 * width, 2, projection)
        if stages == 4:
            self.stage4 = self._stage(blocks, 4 * width, 8 * width, 2, projection)
        self.stages = [f"stage{number}" for number in range(1, stages + 1)]
        self.linear = nn.Linear(2 ** (stages - 1) * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # so convolutions of many small groups, which decompositions make, take half the time on a CPU
        self.to(memory_format=torch.channels_last)

    @staticmethod
    def _stage(blocks: int, inputs: int, outputs: int, stride: int, projection: bool) -> nn.Sequential:
        rest = (Block(outputs, outputs, 1, projection) for _ in range(blocks - 1))
        return nn.Sequential(Block(inputs, outputs, stride, projection), *rest)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes); any H, W."""
        out = functional.relu(self.bn(self.conv(images)))
        for stage in self.stages:
            out = getattr(self, stage)(out)
        return self.linear(torch.mean(out, dim=(2, 3)))


def resnet18(input_shape: tuple[int, ...], num_classes: int, *, width: int = 64) -> nn.Module:
    """Build ResNet-18 for small images: 11.2 million parameters at width 64.

    Its four stages are those for ImageNet (He et al., table 1); the stem is a 3x3 convolution without
    pooling. So it is in SynFlow's code (Tanaka et al., NeurIPS 2020; ganguli-lab/Synaptic-Flow).
    """
    return SmallResNet(2, input_shape[0], num_classes, width, "projection", stages=4)


def resnet20(
    input_shape: tuple[int, ...], num_classes: int, *, width: int = 16, shortcut: str = "pad"
) -> nn.Module:
    """Build ResNet-20: 0.27 million parameters at width 16."""
    return SmallResNet(3, input_shape[0], num_classes, width, shortcut)


def resnet32(
    input_shape: tuple[int, ...], num_classes: int, *, width: int = 16, shortcut: str = "pad"
) -> nn.Module:
    """Build ResNet-32: 0.46 million parameters at width 16.

    GraSP's double-width ResNet-32 (Wang et al., ICLR 2020) is ``width=32, shortcut="projection"``: stages of
    32, 64 and 128 channels, 1.86 million parameters with ten classes.
    """
    return SmallResNet(5, input_shape[0], num_classes, width, shortcut)


def resnet56(
    input_shape: tuple[int, ...], num_classes: int, *, width: int = 16, shortcut: str = "pad"
) -> nn.Module:
    """Build ResNet-56: 0.85 million parameters at width 16."""
    return SmallResNet(9, input_shape[0], num_classes, width, shortcut)
