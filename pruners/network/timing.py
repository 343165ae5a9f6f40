"""How long a computation takes."""

import time
from collections.abc import Callable
from statistics import median

import torch

REPEATS = 10
"""How often a network is run whose time is told."""
_WARMUP = 2


def median_seconds(compute: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Return the median time of ``repeats`` runs in seconds, after two more that do not count.

    A CUDA ``device`` has finished before the clock stops.
    """
    times = [_seconds(compute, device) for _ in range(_WARMUP + repeats)]
    return median(times[_WARMUP:])


def _seconds(compute: Callable[[], object], device: torch.device) -> float:
    _synchronize(device)
    start = time.perf_counter()
    compute()
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
