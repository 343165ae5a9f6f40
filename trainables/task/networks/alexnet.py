"""AlexNet with BatchNorm (Krizhevsky et al., NeurIPS 2012, in the single-tower form of arXiv 1404.5997)."""

from torch import nn

from trainables.errors import TaskError

_LEAST_SIDE = 63
# outputs, side of the kernel, stride, padding, and whether 3x3 max pooling follows
_CONVOLUTIONS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)
_HIDDEN, _MAP = 4096, 6


def alexnet_bn(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build AlexNet with BatchNorm after every layer but the last: 61.1 million parameters for ImageNet.

    It is the AlexNet of ALDS: in their code (lucaslie/torchprune, ``alexnet_bn``) the two hidden layers are
    convolutions over the last 6x6 map, so that filters can be removed from them too. ``input_shape`` is
    (channels, height, width). Raises `TaskError` for a side below 63.
    """
    channels, height, width = input_shape
    if min(height, width) < _LEAST_SIDE:
        raise TaskError(
            f"alexnet_bn needs images of at least {_LEAST_SIDE}x{_LEAST_SIDE}, not {height}x{width}."
        )
    features: list[nn.Module] = []
    for outputs, kernel, stride, padding, pooled in _CONVOLUTIONS:
        features += _normalised(nn.Conv2d(channels, outputs, kernel, stride, padding, bias=False))
        features += [nn.MaxPool2d(3, 2)] if pooled else []
        channels = outputs
    hidden = (nn.Conv2d(channels, _HIDDEN, _MAP, bias=False), nn.Conv2d(_HIDDEN, _HIDDEN, 1, bias=False))
    classifier = [module for layer in hidden for module in (nn.Dropout(), *_normalised(layer))]
    return nn.Sequential(
        *features, nn.AdaptiveAvgPool2d(_MAP), *classifier, nn.Flatten(), nn.Linear(_HIDDEN, num_classes)
    )


def _normalised(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
