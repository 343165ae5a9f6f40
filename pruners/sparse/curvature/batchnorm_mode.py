"""What BatchNorm normalises by while a network is scored: the batch's own statistics or the running ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruners.method import Option
from pruners.option_values import Choice

BATCHNORM_MODES = ("train", "eval")

BATCHNORM = Option(
    "bn",
    "train",
    "BatchNorm normalises by the batch's statistics (train) or by its running ones (eval)",
    Choice(BATCHNORM_MODES),
)


@contextmanager
def batchnorm_mode(network: nn.Module, bn: str) -> Iterator[None]:
    """Set BatchNorm to train or eval mode, all else (dropout, say) to eval mode, with gradients on.

    Each module's own mode returns. No buffer changes: running statistics and counters stay as they are in
    either mode.
    """
    modes = {module: module.training for module in network.modules()}
    norms = [module for module in modes if isinstance(module, _BatchNorm)] if bn == "train" else []
    tracking = {norm: norm.track_running_stats for norm in norms}
    network.eval()
    try:
        for norm in norms:
            # a layer that tracks nothing is not given its running statistics, so it cannot write them
            norm.training, norm.track_running_stats = True, False
        with torch.enable_grad():
            yield
    finally:
        for norm, tracks in tracking.items():
            norm.track_running_stats = tracks
        for module, mode in modes.items():
            module.training = mode
