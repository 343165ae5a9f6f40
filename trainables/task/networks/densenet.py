"""DenseNets for small images (Huang et al., CVPR 2017, arXiv 1608.06993, section 3): DenseNet-BC.

Three groups of layers whose outputs are concatenated to their inputs. B: a 1x1 convolution to four times the
growth stands before each 3x3 convolution; C: the transitions between the groups halve the channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Layer(nn.Module):
    """BatchNorm, ReLU, 1x1 convolution, BatchNorm, ReLU, 3x3 convolution; its outputs follow its inputs."""

    def __init__(self, inputs: int, growth: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, inputs + growth, H, W), the inputs first."""
        out = self.conv1(functional.relu(self.bn1(inputs)))
        out = self.conv2(functional.relu(self.bn2(out)))
        return torch.cat((inputs, out), 1)


class Transition(nn.Module):
    """BatchNorm, ReLU, a 1x1 convolution to half the channels and 2x2 average pooling."""

    def __init__(self, inputs: int):
        super().__init__()
        self.bn = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, inputs // 2, ceil(H / 2), ceil(W / 2))."""
        out = self.conv(functional.relu(self.bn(inputs)))
        return functional.avg_pool2d(out, 2, ceil_mode=True)


class SmallDenseNet(nn.Module):
    """A 3x3 stem of twice the growth, three groups of ``layers`` layers, global average pooling, Linear."""

    def __init__(self, layers: int, growth: int, in_channels: int, num_classes: int):
        super().__init__()
        stem, grown = 2 * growth, layers * growth
        second = (stem + grown) // 2
        third = (second + grown) // 2
        self.conv = nn.Conv2d(in_channels, stem, 3, padding=1, bias=False)
        self.group1 = self._group(layers, stem, growth)
        self.transition1 = Transition(stem + grown)
        self.group2 = self._group(layers, second, growth)
        self.transition2 = Transition(second + grown)
        self.group3 = self._group(layers, third, growth)
        self.bn = nn.BatchNorm2d(third + grown)
        self.linear = nn.Linear(third + grown, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # decomposed layers, many small groups among them, take half the time on a CPU
        self.to(memory_format=torch.channels_last)

    @staticmethod
    def _group(layers: int, inputs: int, growth: int) -> nn.Sequential:
        return nn.Sequential(*(Layer(inputs + number * growth, growth) for number in range(layers)))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes); any H, W."""
        out = self.transition1(self.group1(self.conv(images)))
        out = self.group3(self.transition2(self.group2(out)))
        return self.linear(torch.mean(functional.relu(self.bn(out)), dim=(2, 3)))


def densenet22(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build DenseNet-BC of depth 22 and growth 12: 3 layers a group, 0.07 million parameters.

    It is the DenseNet22 of PFP and ALDS: their code (lucaslie/torchprune, ``densenet22`` in its CIFAR
    networks) has bottlenecks and halving transitions.
    """
    return SmallDenseNet(3, 12, input_shape[0], num_classes)
