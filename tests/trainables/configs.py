"""Trials small enough to be run many times over: the digits and a network that learns them in a second."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trainables.config import (
    BudgetConfig,
    CompressionConfig,
    ScheduleConfig,
    TaskConfig,
    TrainingConfig,
    TrialConfig,
)
from trainables.execution.network import load
from trainables.results.trial_paths import network_folder

USERS = "tests.trainables.users"
TASK = TaskConfig(f"{USERS}:network", "digits", {"width": 8})
TRAINING = TrainingConfig(
    3, 64, "sgd", 0.05, weight_decay=5e-4, schedule=ScheduleConfig("cosine", warmup=1), augment=("shift",)
)


def trial(
    root: Path,
    key: str = "0",
    *,
    task: TaskConfig = TASK,
    retrain: int = 2,
    keep_ratio: float = 0.5,
    **changes: Any,
) -> TrialConfig:
    """A trial in ``root``, where it shares a store with others; ``changes`` replace fields of its config."""
    config = TrialConfig(
        key,
        task,
        TRAINING,
        CompressionConfig("alds", recalibrate_bn=128, retrain_epochs=retrain),
        BudgetConfig(keep_ratio=keep_ratio),
        directory=str(root / "trials" / key),
        store=str(root / "store"),
    )
    return replace(config, **changes)


def weights(config: TrialConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """The compressed network that a finished trial left."""
    return load(network_folder(config, seed), config.task, torch.device("cpu")).module.state_dict()


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def comparable(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics without those that depend on the clock or on who else trained."""
    return {
        name: value
        for name, value in metrics.items()
        if name not in ("compress/latency_ms", "compress/latency_kept", "epochs_trained")
    }
