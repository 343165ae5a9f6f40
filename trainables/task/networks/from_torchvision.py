"""Any classifier and any segmentation network of torchvision, by its name there."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from torchvision import models

from trainables.errors import TaskError, nearest
from trainables.users_code import factory

_COLOURS = 3


def from_torchvision(
    name: str, input_shape: Sequence[int], num_classes: int, options: dict[str, Any]
) -> nn.Module:
    """Build ``torchvision.models.get_model(name)`` for inputs (channels, height, width) and so many classes.

    ``options`` go to torchvision's builder. Nothing is downloaded that they do not ask for. Raises
    `TaskError` for a name that torchvision does not have, or when its builder refuses the options.
    """
    classifiers, segmentation = (
        models.list_models(module=models),
        models.list_models(module=models.segmentation),
    )
    if name not in (*classifiers, *segmentation):
        hint = nearest(name, (*classifiers, *segmentation))
        raise TaskError(f"torchvision has no classifier or segmentation network {name!r}; {hint}")
    fitting: dict[str, Any] = {"num_classes": num_classes}
    if name in segmentation:
        fitting["weights_backbone"] = None  # torchvision's own default is to fetch them
    if name in ("googlenet", "inception_v3"):
        fitting["init_weights"] = False  # else it takes a minute, and torchvision warns
    if name.startswith("vit_") and not options.get("weights"):
        fitting["image_size"] = input_shape[-1]
    if name.startswith("maxvit_") and not options.get("weights"):
        fitting["input_size"] = tuple(input_shape[1:])  # which are then checked in words
    network = factory.call(models.get_model, f"torchvision:{name}", "network", name, **fitting | options)
    if len(input_shape) == 3 and input_shape[0] != _COLOURS:
        _take_channels(network, input_shape[0])
    return network


def _take_channels(network: nn.Module, channels: int) -> None:
    """Make the first convolution, of three colours, take so many channels.

    Their filters are those of the colours in turn, times 3 / ``channels``, and for a single one the sum: what
    trained filters say of a grey image.
    """
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    weight = first.weight.detach()
    turns = [number % _COLOURS for number in range(channels)]
    fitted = weight.sum(1, keepdim=True) if channels == 1 else weight[:, turns] * (_COLOURS / channels)
    first.weight, first.in_channels = nn.Parameter(fitted.clone()), channels
