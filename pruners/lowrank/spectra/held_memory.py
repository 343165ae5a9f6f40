"""How much memory a network takes, with what is kept about it for further budgets."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from pruners.calibration.calibration import calibration_kept
from pruners.lowrank.spectra.network_spectra import spectra_kept


def held_memory(model: nn.Module) -> int:
    """Return the bytes of a network's parameters, buffers and what is kept with it, on any device.

    That is its spectra and its calibration."""
    return _bytes([*model.parameters(), *model.buffers(), spectra_kept(model), calibration_kept(model)])


def _bytes(root: Any) -> int:
    """Sum up all tensors and arrays held by containers and objects of this package, each memory once."""
    seen: set[tuple[str, int]] = set()
    waiting, total = [root], 0
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, np.ndarray) and isinstance(thing.base, np.ndarray | Tensor):  # a view
            waiting.append(thing.base)
            continue
        place, size = _place(thing)
        if place in seen:
            continue
        seen.add(place)
        total += size
        if isinstance(thing, dict):
            waiting.extend(thing.values())
        elif isinstance(thing, list | tuple):
            waiting.extend(thing)
        elif type(thing).__module__.startswith("pruners."):
            waiting.extend(getattr(thing, "__dict__", {}).values())
    return total


def _place(thing: Any) -> tuple[tuple[str, int], int]:
    """Return where a tensor or an array lies, and its bytes.

    Of anything else what it is known by, and 0.
    """
    if isinstance(thing, Tensor):
        storage = thing.untyped_storage()
        return (storage.device.type, storage.data_ptr()), storage.nbytes()
    if isinstance(thing, np.ndarray):
        return ("cpu", thing.__array_interface__["data"][0]), thing.nbytes
    return ("", id(thing)), 0
