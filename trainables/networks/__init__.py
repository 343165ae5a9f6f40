"""Networks by name. To add one: a file here with a function ``(input_shape, num_classes, *, options)``, and a line in `BUILT_IN`."""

from collections.abc import Callable
from typing import Any

from torch import nn

from trainables import factory
from trainables.errors import TaskError, nearest
from trainables.networks.conv4 import conv4
from trainables.networks.from_torchvision import from_torchvision
from trainables.networks.lenet import lenet_300_100
from trainables.networks.resnet import resnet20, resnet32, resnet56
from trainables.networks.vgg import vgg16, vgg19

BUILT_IN: dict[str, Callable[..., nn.Module]] = {
    "lenet_300_100": lenet_300_100,
    "conv4": conv4,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "resnet56": resnet56,
    "vgg16": vgg16,
    "vgg19": vgg19,
}


def resolved_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """``options`` as the network will get them, a built-in's defaults filled in.

    Raises `TaskError` for an unknown network or an unknown option of a built-in.
    """
    if name.startswith("torchvision:") or factory.is_reference(name):
        return dict(options)
    if name not in BUILT_IN:
        raise TaskError(f"there is no network {name!r}; {nearest(name, BUILT_IN)}")
    return factory.with_defaults(BUILT_IN[name], name, "network", options)


def build(name: str, options: dict[str, Any], input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """A freshly initialised network; built-ins fit themselves to ``input_shape`` (without the batch) and ``num_classes``.

    The user's ``package.module:factory`` gets ``options`` alone. Raises `TaskError`, naming what is wrong.
    """
    options = resolved_options(name, options)
    if name.startswith("torchvision:"):
        return from_torchvision(name.removeprefix("torchvision:"), num_classes, options)
    if factory.is_reference(name):
        network = factory.call(factory.resolve(name, "network"), name, "network factory", **options)
        if not isinstance(network, nn.Module):
            raise TaskError(f"network factory {name} returned {type(network).__name__}, not a torch.nn.Module.")
        return network
    return factory.call(BUILT_IN[name], name, "network", input_shape, num_classes, **options)
