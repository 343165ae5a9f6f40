"""Names of layers and tensors as the user wrote the network: wrappers have no part in them."""

import sys
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from pruners.errors import PrunerError, UnknownLayer, nearest


def check_module(model: Any) -> None:
    """Raise PrunerError for a model that is no module."""
    if not isinstance(model, nn.Module):
        raise PrunerError(f"model must be a torch.nn.Module, not a {type(model).__name__}.")


def wrapped(module: nn.Module) -> nn.Module | None:
    """Return the module inside a wrapper, or None for others.

    Wrappers are `torch.compile`'s, DataParallel, DistributedDataParallel and AveragedModel.
    """
    # importing the compiler takes seconds, and a compiled network has done it
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    inner = None
    if compiler is not None and isinstance(module, compiler.OptimizedModule):
        inner = module._orig_mod
    elif isinstance(module, DataParallel | DistributedDataParallel | AveragedModel):
        inner = module.module
    return inner if isinstance(inner, nn.Module) else None


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network without the wrappers around it; those of its submodules stay."""
    while (inner := wrapped(model)) is not None:
        model = inner
    return model


def named_modules(model: nn.Module, *, remove_duplicate: bool = True) -> Iterator[tuple[str, nn.Module]]:
    """List a network's modules as ``model.named_modules()`` does, without wrappers.

    The wrappers' part of the names is left out too.

    Raises PrunerError for a model that is no module.
    """
    check_module(model)
    return _below(model, "", set() if remove_duplicate else None)


def _below(module: nn.Module, name: str, seen: set[nn.Module] | None) -> Iterator[tuple[str, nn.Module]]:
    module = unwrapped(module)
    if seen is not None:
        if module in seen:
            return
        seen.add(module)
    yield name, module
    for child_name, child in module._modules.items():
        if child is not None:
            yield from _below(child, f"{name}.{child_name}" if name else child_name, seen)


def named_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Map every name of every parameter (a shared one has several) to it.

    The names are without the wrappers' part.
    """
    return {
        f"{name}.{own}" if name else own: parameter
        for name, module in named_modules(model, remove_duplicate=False)
        for own, parameter in module._parameters.items()
        if parameter is not None
    }


def named_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Map every name of every buffer to it, as `named_parameters`.

    Those that a state dict leaves out are included.
    """
    return {
        f"{name}.{own}" if name else own: buffer
        for name, module in named_modules(model, remove_duplicate=False)
        for own, buffer in module._buffers.items()
        if buffer is not None
    }


def matching_layers(patterns: Collection[str], layers: Collection[str], option: str, what: str) -> list[str]:
    """Return the layers that any of the names or shell patterns ("layer1.*") means.

    They are in the order of ``layers``.

    Raises UnknownLayer, which says that the network has no ``what`` of this name, for one that means none.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        found = [pattern] if pattern in layers else [name for name in layers if fnmatchcase(name, pattern)]
        if not found:
            raise UnknownLayer(f"{option}: the network has no {what} {pattern!r}{nearest(pattern, layers)}")
        chosen.update(found)
    return [name for name in layers if name in chosen]
