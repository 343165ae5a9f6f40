"""Conv-4 (Frankle & Carbin, ICLR 2019, figure 2): a small VGG without BatchNorm."""

from torch import nn


def conv4(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Two pairs of 3x3 convolutions (64 and 128 channels), each followed by 2x2 max pooling, then 256, 256 and the classes.

    ``input_shape`` is (channels, height, width), each side at least 4.
    """
    channels, height, width = input_shape

    def pair(inputs: int, outputs: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]

    flat = 128 * (height // 4) * (width // 4)
    return nn.Sequential(
        *pair(channels, 64),
        *pair(64, 128),
        nn.Flatten(),
        nn.Linear(flat, 256),
        nn.ReLU(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Linear(256, num_classes),
    )
