"""How long a computation takes."""

import time
from collections.abc import Callable, Sequence
from statistics import median

import torch

REPEATS = 10
"""How often a network is run whose time is told."""
_WARMUP = 2
_FEWEST = 5


def median_seconds(compute: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Return the median time of ``repeats`` runs in seconds, after two more that do not count.

    A CUDA ``device`` has finished before the clock stops.
    """
    return median(seconds for (seconds,) in in_turn([compute], device, repeats))


def in_turn(
    computes: Sequence[Callable[[], object]],
    device: torch.device,
    repeats: int,
    at_most: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Run all in turn, ``repeats`` rounds after two that do not count; return each round's times in seconds.

    What else the machine does slows down all of a round: what two of them take in the same rounds can be
    compared. After ``at_most`` seconds five rounds are enough. ``clock`` tells seconds.
    """
    for _ in range(_WARMUP):
        for compute in computes:
            compute()
    rounds: list[list[float]] = []
    end = time.perf_counter() + at_most
    while len(rounds) < repeats and (len(rounds) < _FEWEST or time.perf_counter() < end):
        rounds.append([_seconds(compute, device, clock) for compute in computes])
    return rounds


def shares_of_first(rounds: Sequence[Sequence[float]]) -> list[float]:
    """Return what each takes as a share of the first's time in the same round, the median over the rounds."""
    return [median(one[place] / one[0] for one in rounds) for place in range(len(rounds[0]))]


def working_clock(device: torch.device) -> Callable[[], float]:
    """Return a clock that stands still while a single CPU thread waits for its turn; else the usual one."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.thread_time if alone else time.perf_counter


def _seconds(compute: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    synchronize(device)
    start = clock()
    compute()
    synchronize(device)
    return clock() - start


def synchronize(device: torch.device) -> None:
    """Wait until a CUDA device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
