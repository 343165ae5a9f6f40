"""Networks by name.

To add one: a file here with a function ``(input_shape, num_classes, *, options)``, and a line in `BUILT_IN`.
"""

from typing import Any

from torch import nn

from trainables.errors import TaskError, nearest
from trainables.users_code import factory

BUILT_IN = {  # imported when asked for: torchvision alone takes seconds
    "mlp": "trainables.task.networks.mlp:mlp",
    "lenet_300_100": "trainables.task.networks.lenet:lenet_300_100",
    "lenet5": "trainables.task.networks.lenet:lenet5",
    "alexnet_bn": "trainables.task.networks.alexnet:alexnet_bn",
    "conv2": "trainables.task.networks.conv:conv2",
    "conv4": "trainables.task.networks.conv:conv4",
    "conv6": "trainables.task.networks.conv:conv6",
    "resnet18": "trainables.task.networks.resnet:resnet18",
    "resnet20": "trainables.task.networks.resnet:resnet20",
    "resnet32": "trainables.task.networks.resnet:resnet32",
    "resnet56": "trainables.task.networks.resnet:resnet56",
    "wrn16_8": "trainables.task.networks.wide_resnet:wrn16_8",
    "densenet22": "trainables.task.networks.densenet:densenet22",
    "vgg11": "trainables.task.networks.vgg:vgg11",
    "vgg16": "trainables.task.networks.vgg:vgg16",
    "vgg19": "trainables.task.networks.vgg:vgg19",
    "vgg11_tiny_imagenet": "trainables.task.networks.vgg:vgg11_tiny_imagenet",
    "vgg16_tiny_imagenet": "trainables.task.networks.vgg:vgg16_tiny_imagenet",
}
_TORCHVISION = "trainables.task.networks.from_torchvision:from_torchvision"


def resolved_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Fill in a built-in's defaults: ``options`` as the network will get them.

    Raises `TaskError` for an unknown network or an unknown option of a built-in.
    """
    if name.startswith("torchvision:") or factory.is_reference(name):
        return dict(options)
    if name not in BUILT_IN:
        raise TaskError(f"there is no network {name!r}; {nearest(name, BUILT_IN)}")
    return factory.with_defaults(factory.resolve(BUILT_IN[name], "network"), name, "network", options)


def build(name: str, options: dict[str, Any], input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build a freshly initialised network.

    Built-ins fit themselves to ``input_shape`` (without the batch) and ``num_classes``. The user's
    ``package.module:factory`` gets ``options`` alone. Raises `TaskError`, naming what is wrong.
    """
    options = resolved_options(name, options)
    if name.startswith("torchvision:"):
        builder = factory.resolve(_TORCHVISION, "network")
        return builder(name.removeprefix("torchvision:"), input_shape, num_classes, options)
    if factory.is_reference(name):
        network = factory.call(factory.resolve(name, "network"), name, "network factory", **options)
        if not isinstance(network, nn.Module):
            raise TaskError(
                f"network factory {name} returned {type(network).__name__}, not a torch.nn.Module."
            )
        return network
    return factory.call(
        factory.resolve(BUILT_IN[name], "network"), name, "network", input_shape, num_classes, **options
    )
