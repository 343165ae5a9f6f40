"""Wide ResNets (Zagoruyko & Komodakis, BMVC 2016, arXiv 1605.07146, table 1), without dropout.

Blocks of BatchNorm, ReLU and a 3x3 convolution, twice; depth is 6 ``blocks`` + 4. Where the channels change,
the shortcut is a 1x1 convolution of the block's first ReLU, as in the code of the authors
(szagoruyko/wide-residual-networks) and of ALDS (lucaslie/torchprune).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions, each after BatchNorm and ReLU, and a shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        active = functional.relu(self.bn1(inputs))
        shortcut = inputs if self.projection is None else self.projection(active)
        out = self.conv2(functional.relu(self.bn2(self.conv1(active))))
        return out + shortcut


class WideResNet(nn.Module):
    """A 3x3 stem of 16 channels, three stages of ``blocks`` blocks, global average pooling, Linear.

    The stages have 16, 32 and 64 times ``widen`` channels.
    """

    def __init__(self, blocks: int, widen: int, in_channels: int, num_classes: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.stage1 = self._stage(blocks, 16, 16 * widen, 1)
        self.stage2 = self._stage(blocks, 16 * widen, 32 * widen, 2)
        self.stage3 = self._stage(blocks, 32 * widen, 64 * widen, 2)
        self.bn = nn.BatchNorm2d(64 * widen)
        self.linear = nn.Linear(64 * widen, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # as in the small ResNets: convolutions of many small groups are faster on a CPU
        self.to(memory_format=torch.channels_last)

    @staticmethod
    def _stage(blocks: int, inputs: int, outputs: int, stride: int) -> nn.Sequential:
        rest = (Block(outputs, outputs, 1) for _ in range(blocks - 1))
        return nn.Sequential(Block(inputs, outputs, stride), *rest)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes); any H, W."""
        out = self.stage3(self.stage2(self.stage1(self.conv(images))))
        return self.linear(torch.mean(functional.relu(self.bn(out)), dim=(2, 3)))


def wrn16_8(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build WRN-16-8: depth 16, eight times as wide, 11.0 million parameters."""
    return WideResNet(2, 8, input_shape[0], num_classes)
