"""ResNets for small images (He et al., CVPR 2016, section 4.2): three stages, the shortcut without weights (option A)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions with BatchNorm around a shortcut that subsamples and pads channels with zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.new_channels = stride, outputs - inputs

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        out = functional.relu(self.bn1(self.conv1(inputs)))
        out = self.bn2(self.conv2(out))
        shortcut = inputs[:, :, :: self.stride, :: self.stride] if self.stride > 1 else inputs
        if self.new_channels:
            before = self.new_channels // 2
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, before, self.new_channels - before))
        return functional.relu(out + shortcut)


class SmallResNet(nn.Module):
    """A 3x3 stem, three stages of ``blocks`` blocks with 1, 2 and 4 times ``width`` channels, global average pooling, Linear."""

    def __init__(self, blocks: int, in_channels: int, num_classes: int, width: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.stage1 = self._stage(blocks, width, width, stride=1)
        self.stage2 = self._stage(blocks, width, 2 * width, stride=2)
        self.stage3 = self._stage(blocks, 2 * width, 4 * width, stride=2)
        self.linear = nn.Linear(4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _stage(blocks: int, inputs: int, outputs: int, stride: int) -> nn.Sequential:
        rest = (Block(outputs, outputs, 1) for _ in range(blocks - 1))
        return nn.Sequential(Block(inputs, outputs, stride), *rest)

    def forward(self, images: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, num_classes); any H, W."""
        out = functional.relu(self.bn(self.conv(images)))
        out = self.stage3(self.stage2(self.stage1(out)))
        return self.linear(torch.mean(out, dim=(2, 3)))


def resnet20(input_shape: tuple[int, ...], num_classes: int, *, width: int = 16) -> nn.Module:
    """ResNet-20: 0.27 million parameters at width 16."""
    return SmallResNet(3, input_shape[0], num_classes, width)


def resnet32(input_shape: tuple[int, ...], num_classes: int, *, width: int = 16) -> nn.Module:
    """ResNet-32: 0.46 million parameters at width 16."""
    return SmallResNet(5, input_shape[0], num_classes, width)


def resnet56(input_shape: tuple[int, ...], num_classes: int, *, width: int = 16) -> nn.Module:
    """ResNet-56: 0.85 million parameters at width 16."""
    return SmallResNet(9, input_shape[0], num_classes, width)
