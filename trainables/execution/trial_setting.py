"""What all replicates of a trial share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from pruners.latency.timed_on import timed_on
from pruners.network.inputs import Inputs, join_inputs, move_inputs
from trainables import training_step
from trainables.config import TaskConfig, TrainingConfig, TrialConfig
from trainables.errors import Refused, TrainingError
from trainables.execution.process_group.group import ProcessGroup
from trainables.execution.process_group.on_this_machine import LocalGroup
from trainables.metric_names import on_validation
from trainables.places.place import Place, place_of
from trainables.task import loss, task
from trainables.task.data import Data
from trainables.task.data.splits import Split
from trainables.task.loss import Loss
from trainables.task.metrics import NamedMetric, metrics_of
from trainables.task.metrics.users import Counter
from trainables.training import device, evaluation
from trainables.training.loop import steps_per_epoch
from trainables.training.validation_history import History, from_store, stored_names


@dataclass(frozen=True)
class TrialSetting:
    """A task made ready on a device, how to train it, and where its trajectories are kept; ``trainer`` signs
    the training log.

    ``keep`` holds the steps at which the dense network is kept for those who rewind to it; networks are timed
    with ``latency_batch`` inputs at once. Where there is a ``group`` of processes, every training is spread
    among them.
    """

    task: TaskConfig
    training: TrainingConfig
    data: Data
    device: torch.device
    store: Place
    trainer: str
    checkpoint_every: int
    keep: frozenset[int] = frozenset()
    num_workers: int = 0
    latency_batch: int = 1
    group: ProcessGroup | None = None

    @staticmethod
    def of(config: TrialConfig, group: ProcessGroup | None = None) -> "TrialSetting":
        """Make ready the setting that a trial is configured with. Raises `TaskError`.

        A trial of several processes trains in ``group``, where none is given in one on this machine.
        """
        examples = task.load_data(config.task).read_by(config.num_workers)
        _check_augment(config.training, examples)
        if config.processes > 1:
            group = group or LocalGroup(config.processes)
        where = device.choose(config.device)
        per_epoch = steps_per_epoch(len(examples.train), config.training.batch_size)
        keep = frozenset(training_step.steps(text, per_epoch) for text in config.keep_at)
        store, every = place_of(config.store), config.checkpoint_every
        return TrialSetting(
            config.task,
            config.training,
            examples,
            where,
            store,
            config.directory,
            every,
            keep,
            config.num_workers,
            config.compression.latency_batch,
            group,
        )

    def elsewhere(self, other: TaskConfig, training: TrainingConfig) -> "TrialSetting":
        """Return the same place and trainer for another task or another training."""
        return replace(
            self, task=other, training=training, data=task.load_data(other).read_by(self.num_workers)
        )

    def on_cpu(self) -> "TrialSetting":
        """Return the same on the CPU, where int8 networks compute."""
        return replace(self, device=torch.device("cpu"))

    @property
    def processes(self) -> int:
        """Count the processes among which every training is spread."""
        return self.group.size if self.group else 1

    @cached_property
    def task_identity(self) -> dict[str, Any]:
        """Describe the task as far as it determines what is trained."""
        return task.task_identity(self.task)

    @property
    def validation_size(self) -> dict[str, int]:
        """Count the validation split's examples and classes; nothing where labels are no single classes."""
        classes = self.data.num_classes
        if classes is None or self.data.validation.first()[1].dim() != 1:
            return {}
        return {"examples": len(self.data.validation), "classes": classes}

    @property
    def steps_per_epoch(self) -> int:
        """Count the optimiser steps in an epoch."""
        return steps_per_epoch(len(self.data.train), self.training.batch_size)

    @cached_property
    def metrics(self) -> tuple[NamedMetric, ...]:
        """Return the task's metrics, the primary one first."""
        return metrics_of(self.task)

    @property
    def primary(self) -> str:
        """Return the name of the metric on validation that says how good a network is."""
        return on_validation(self.metrics[0].name)

    @cached_property
    def loss(self) -> Loss:
        """Return the task's loss without label smoothing and auxiliary heads, as evaluation takes it."""
        return loss.resolve(self.task.loss, ignored=self.data.labels_nothing)

    def loss_weight(self, labels: Tensor) -> int | Tensor:
        """Return how much the mean loss of a batch weighs, by its labels."""
        return loss.weight(self.task.loss, self.data.labels_nothing, labels)

    def scoring_loss(self) -> Loss:
        """Return the task's loss without label smoothing, as methods take it that score weights."""
        return loss.resolve(self.task.loss, ignored=self.data.labels_nothing, auxiliary=True)

    def training_loss(self) -> Loss:
        """Return the task's loss as training takes it."""
        return loss.resolve(
            self.task.loss, self.training.label_smoothing, self.data.labels_nothing, auxiliary=True
        )

    def example(self) -> Inputs:
        """Return the first training input as a batch of one, on the device."""
        return move_inputs(self.data.train.example(), self.device)

    def timed_batch(self) -> Inputs:
        """Return the batch that networks are timed with: the first training input, as often as asked for."""
        return join_inputs([self.example()] * self.latency_batch)

    @cached_property
    def timed_on(self) -> dict[str, Any]:
        """Describe what the task's dense network is timed on, as `pruners.latency` does."""
        return timed_on(task.build_network(self.task).to(self.device), self.timed_batch())

    @cached_property
    def stored_names(self) -> dict[str, str]:
        """Return the names under which the store keeps the task's metrics."""
        return stored_names(self.metrics)

    def read_back(self, module: nn.Module, stored: History) -> History:
        """Return the metrics of every epoch of the training of ``module``, as the store has them.

        Metrics that the store lacks are measured anew for the last epoch, and missing in those before.
        """
        history = from_store(stored, self.stored_names)
        if history and not self.stored_names.keys() <= history[-1].keys():
            history[-1] |= self.evaluate(module, self.data.validation, "val")
        return history

    def evaluate(
        self, module: nn.Module, split: Split, name: str, beside: Mapping[str, Counter] | None = None
    ) -> dict[str, float]:
        """Measure ``{name}/loss`` and ``{name}/<metric>`` of a network on a split, for each of the task's
        metrics.

        ``beside`` counts too, and is not among the figures.

        Raises `TrainingError` for a metric that is not finite.
        """
        ignored = self.data.labels_nothing
        counters = {metric.name: metric.counter(ignored) for metric in self.metrics}
        all_counters = {**counters, **(beside or {})}
        found = evaluation.evaluate(module, split, self.loss, self.device, all_counters, self.loss_weight)
        for metric in self.metrics:
            if math.isfinite(found["loss"]) and not math.isfinite(found[metric.name]):
                raise TrainingError(
                    f"metric {metric.reference} is {found[metric.name]} on the split {name}; "
                    "nothing can be told by it."
                )
        return {f"{name}/{metric}": found[metric] for metric in ("loss", *counters)}


def _check_augment(training: TrainingConfig, examples: Data) -> None:
    """Raise `Refused` where there is nothing that may be changed at random without changing what it means."""
    inputs, labels = examples.train.first()
    if not training.augment:
        return
    if not isinstance(inputs, Tensor) or inputs.dim() != 4:
        raise Refused(
            ("training", "augment"),
            "training.augment changes images (channels, height, width), and the data's inputs are none.",
        )
    if labels.dim() > 2 and labels.shape[1:] != inputs.shape[2:]:
        raise Refused(
            ("training", "augment"),
            f"training.augment changes images {tuple(inputs.shape[2:])} and label maps alike, and these have "
            f"the shape {tuple(labels.shape[1:])}; let the data set do it.",
        )
