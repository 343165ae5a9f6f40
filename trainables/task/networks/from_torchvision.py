"""Any classifier of torchvision, by its name there."""

from typing import Any

from torch import nn
from torchvision import models

from trainables.errors import TaskError, nearest
from trainables.users_code import factory


def from_torchvision(name: str, num_classes: int, options: dict[str, Any]) -> nn.Module:
    """Build ``torchvision.models.get_model(name)`` with ``num_classes`` outputs.

    ``options`` go to torchvision's builder. Raises `TaskError` for a name that torchvision does not have, or
    when its builder refuses the options.
    """
    known = models.list_models(module=models)
    if name not in known:
        raise TaskError(f"torchvision has no classifier {name!r}; {nearest(name, known)}")
    return factory.call(
        models.get_model, f"torchvision:{name}", "network", name, **{"num_classes": num_classes, **options}
    )
