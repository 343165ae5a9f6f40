"""What all replicates of a trial share."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables import device, evaluation, loss, position, task
from trainables.config import TaskConfig, TrainingConfig, TrialConfig
from trainables.data import Data
from trainables.data.splits import Split
from trainables.training import steps_per_epoch


@dataclass(frozen=True)
class Setting:
    """A task made ready on a device, how to train it, and where its trajectories are kept; ``trainer`` signs the ledger.

    ``keep`` holds the steps at which the dense network is kept for those who rewind to it.
    """

    task: TaskConfig
    training: TrainingConfig
    data: Data
    device: torch.device
    store: Path
    trainer: str
    checkpoint_every: int
    keep: frozenset[int] = frozenset()

    @staticmethod
    def of(config: TrialConfig) -> "Setting":
        """The setting that a trial is configured with. Raises `TaskError`."""
        examples = task.load_data(config.task)
        where = device.choose(config.device)
        per_epoch = steps_per_epoch(len(examples.train), config.training.batch_size)
        keep = frozenset(position.steps(text, per_epoch) for text in config.keep_at)
        return Setting(config.task, config.training, examples, where, Path(config.store), config.directory, config.checkpoint_every, keep)

    def elsewhere(self, other: TaskConfig, training: TrainingConfig) -> "Setting":
        """The same place and trainer for another task or another training."""
        return replace(self, task=other, training=training, data=task.load_data(other))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The task as far as it determines what is trained."""
        return task.identity(self.task)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch."""
        return steps_per_epoch(len(self.data.train), self.training.batch_size)

    def example(self) -> Tensor:
        """The first training input as a batch of one, on the device."""
        return self.data.train.example().to(self.device)

    def evaluate(self, module: nn.Module, split: Split, name: str) -> dict[str, float]:
        """``{name}/accuracy`` and ``{name}/loss`` of a network on a split."""
        accuracy, mean_loss = evaluation.evaluate(module, split, loss.resolve(self.task.loss), self.device)
        return {f"{name}/accuracy": accuracy, f"{name}/loss": mean_loss}
