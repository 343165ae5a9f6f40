"""The two LeNets of the pruning literature (LeCun et al., Proc. IEEE 1998).

One is fully connected, one convolutional as Caffe has it.
"""

from torch import nn

from trainables.errors import TaskError
from trainables.task.networks.mlp import mlp


def lenet_300_100(
    input_shape: tuple[int, ...], num_classes: int, *, dropout: float = 0.0, initialization: str = "torch"
) -> nn.Module:
    """Build LeNet-300-100: hidden layers of 300 and 100 units on the flattened input, ``dropout`` after each.

    The lottery-ticket paper's ``initialization`` is ``glorot``. Raises `TaskError` for an unknown one.
    """
    return mlp(input_shape, num_classes, widths=(300, 100), dropout=dropout, initialization=initialization)


def lenet5(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build Caffe's LeNet-5, as SNIP prunes it (Lee et al., ICLR 2019).

    431,080 parameters on 28x28 images of one channel. Two 5x5 convolutions without padding, 20 and 50
    channels, each followed by 2x2 max pooling and by no activation; then Linear layers of 500 with ReLU and
    of the classes. ``input_shape`` is (channels, height, width). Raises `TaskError` for a side below 16.
    """
    channels, height, width = input_shape
    if min(height, width) < 16:
        raise TaskError(f"lenet5 needs images of at least 16x16, not {height}x{width}.")
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
    return nn.Sequential(
        nn.Conv2d(channels, 20, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(50 * rows * columns, 500),
        nn.ReLU(),
        nn.Linear(500, num_classes),
    )
