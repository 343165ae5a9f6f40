"""Torch's global random numbers, seeded for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from pruners.option_values import Whole

SEED = Whole(-(2**63), 2**64 - 1)
"""What torch's generators take."""


@contextmanager
def seeded(seed: int, model: nn.Module) -> Iterator[None]:
    """Seed the global generators of the CPU and of the network's CUDA devices inside the block.

    They go on afterwards as if unused.
    """
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        yield
