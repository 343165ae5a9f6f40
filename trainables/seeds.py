"""Every random number of a trial comes from its seed, what it is for and where in training it is drawn.

Nothing depends on how many numbers were drawn before, so a trial continued from a snapshot needs no
generator's state.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def derive(seed: int, purpose: str, index: int = 0) -> int:
    """Derive a 63-bit seed for one purpose at one index (an epoch or a step), the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """Make a CPU generator at the start of the numbers of that purpose and index."""
    return torch.Generator().manual_seed(derive(seed, purpose, index))


def permutation(length: int, seed: int, epoch: int, order: int = 0) -> Tensor:
    """Return the order in which an epoch visits ``length`` examples: int64, shape (length,).

    ``order`` numbers other ones for the same seed.
    """
    return torch.randperm(length, generator=generator(seed, f"order/{order}" if order else "order", epoch))


@contextmanager
def own_random_numbers(device: torch.device) -> Iterator[None]:
    """Leave torch's global generators as they were found when the block ends."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_everything(seed: int, purpose: str, index: int, device: torch.device) -> None:
    """Seed torch's global generators, which initialisation and dropout draw from.

    Far cheaper than ``torch.manual_seed``.
    """
    value = derive(seed, purpose, index)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.manual_seed(value)
