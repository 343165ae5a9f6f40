"""Conv-2, Conv-4 and Conv-6 (Frankle & Carbin, ICLR 2019, figure 2): small VGGs without BatchNorm.

On CIFAR-10 they have 4.30, 2.43 and 2.26 million weights; the figure's 1.7 million for Conv-6 is not the sum
of the layers it lists. The paper's ``initialization`` is ``glorot``.
"""

from torch import nn

from trainables.errors import TaskError
from trainables.task.networks.initialization import initialized


def conv2(input_shape: tuple[int, ...], num_classes: int, *, initialization: str = "torch") -> nn.Module:
    """Build Conv-2: a pair of 3x3 convolutions of 64 channels, 2x2 max pooling, three Linear layers.

    These have 256, 256 and as many units as there are classes. ``input_shape`` is (channels, height, width),
    each side at least 2. Raises `TaskError` for smaller ones, or an unknown ``initialization``.
    """
    return _conv((64,), input_shape, num_classes, initialization)


def conv4(input_shape: tuple[int, ...], num_classes: int, *, initialization: str = "torch") -> nn.Module:
    """Build Conv-4: `conv2` with a second pair of 128 channels; each side at least 4."""
    return _conv((64, 128), input_shape, num_classes, initialization)


def conv6(input_shape: tuple[int, ...], num_classes: int, *, initialization: str = "torch") -> nn.Module:
    """Build Conv-6: `conv4` with a third pair of 256 channels; each side at least 8."""
    return _conv((64, 128, 256), input_shape, num_classes, initialization)


def _conv(
    widths: tuple[int, ...], input_shape: tuple[int, ...], num_classes: int, initialization: str
) -> nn.Module:
    channels, height, width = input_shape
    shrunk = 2 ** len(widths)
    if min(height, width) < shrunk:
        raise TaskError(
            f"conv{2 * len(widths)} needs images of at least {shrunk}x{shrunk}, not {height}x{width}."
        )
    layers: list[nn.Module] = []
    for outputs in widths:
        for inputs in (channels, outputs):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        channels = outputs
    flat = channels * (height // shrunk) * (width // shrunk)
    head = [
        nn.Flatten(),
        nn.Linear(flat, 256),
        nn.ReLU(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Linear(256, num_classes),
    ]
    return initialized(nn.Sequential(*layers, *head), initialization)
