"""Where a trial computes, and that it computes the same twice."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic

from trainables.errors import TaskError


def choose(name: str) -> torch.device:
    """Choose the device that ``name`` means; ``auto`` is the GPU where there is one.

    Raises `TaskError` when it is not there.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TaskError(f"there is no kind of device called {name!r}; auto, cpu or cuda.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TaskError(f"device {name!r} is not there: torch sees {torch.cuda.device_count()} GPUs.")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


@contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Use deterministic algorithms and ``threads`` CPU threads for the length of the block.

    torch's settings are put back after it.
    """
    # cuBLAS is deterministic only with a fixed workspace
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    threads_before, mode_before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    # torch's types lack the setting
    fill_before = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # filling costs time and guards only against reading what was never written
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_deterministic_debug_mode(mode_before)
        deterministic.fill_uninitialized_memory = fill_before  # type: ignore[attr-defined]
