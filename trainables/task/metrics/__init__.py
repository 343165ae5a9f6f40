"""Metrics by name. To add one: a final subclass of `Metric` in a file here, and a line in `BUILT_IN`."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import MetricConfig, TaskConfig
from trainables.errors import TaskError, nearest
from trainables.metric_names import Goal
from trainables.users_code import factory

if TYPE_CHECKING:  # torch takes seconds to import, and who reads a sweep file or a study counts nothing
    from trainables.task.metrics.metric import Metric
    from trainables.task.metrics.users import Counter


@dataclass(frozen=True)
class BuiltIn:
    """A metric that comes with us: its title in tables and charts, and the ``file:Class`` here that counts.

    ``is_share`` says that it lies between 0 and 1 and is shown in per cent.
    """

    title: str
    goal: Goal
    is_share: bool
    place: str

    def __call__(self, ignored: int) -> "Metric":
        """Return a new counter for one split; ``ignored`` labels count for nothing."""
        file, name = self.place.split(":")
        counter: Metric = getattr(importlib.import_module(f"{__name__}.{file}"), name)(ignored)
        return counter


BUILT_IN: Mapping[str, BuiltIn] = {
    "accuracy": BuiltIn("accuracy", "maximize", True, "classes:Accuracy"),
    "top5_accuracy": BuiltIn("top-5 accuracy", "maximize", True, "classes:TopFiveAccuracy"),
    "f1": BuiltIn("F1", "maximize", True, "classes:F1"),
    "mean_iou": BuiltIn("mean IoU", "maximize", True, "classes:MeanIoU"),
    "mae": BuiltIn("mean absolute error", "minimize", False, "values:MeanAbsoluteError"),
    "rmse": BuiltIn("root mean squared error", "minimize", False, "values:RootMeanSquaredError"),
}
_OF_LOSS = {"mse": "mae", "l1": "mae", "huber": "mae", "bce_with_logits": "f1"}
OF_CLASSES_ONLY = ("accuracy", "top5_accuracy", "f1", "mean_iou")
_TAKEN = ("loss", "grad_norm")


@dataclass(frozen=True)
class NamedMetric:
    """One of a task's metrics: ``name`` stands behind val/ and test/, ``reference`` in the sweep file."""

    name: str
    reference: str
    goal: Goal

    def counter(self, ignored: int) -> "Counter":
        """Return a new counter for one split; ``ignored`` labels count for nothing. Raises `TaskError`."""
        from trainables.task.metrics.users import UsersMetric

        if self.reference in BUILT_IN:
            return BUILT_IN[self.reference](ignored)
        return UsersMetric(self.reference, factory.resolve(self.reference, "metric"))

    @property
    def is_share(self) -> bool:
        """Tell whether it lies between 0 and 1 and is shown in per cent."""
        return self.reference in BUILT_IN and BUILT_IN[self.reference].is_share


def metrics_of(task: TaskConfig) -> tuple[NamedMetric, ...]:
    """Return the task's metrics, the primary one first: those that it names, else what goes with its loss.

    Nothing is imported. Raises `TaskError` for an unknown name and for two of one name.
    """
    given = task.metrics or (MetricConfig(_OF_LOSS.get(task.loss, "accuracy")),)
    found = tuple(_named(one) for one in given)
    for place, metric in enumerate(found):
        if metric.name in (*_TAKEN, *(other.name for other in found[:place])):
            raise TaskError(
                f"task.metrics: the name {metric.name!r} is taken; a metric's name is what stands behind the "
                "colon."
            )
    return found


def is_share(name: str) -> bool:
    """Tell whether a metric (accuracy, val/f1, ...) is a built-in one that is shown in per cent.

    Those lie between 0 and 1.
    """
    found = BUILT_IN.get(name.rpartition("/")[2])
    return found is not None and found.is_share


def title_of(name: str) -> str | None:
    """Return the title of a built-in metric (accuracy, val/f1, ...), None for others."""
    found = BUILT_IN.get(name.rpartition("/")[2])
    return found.title if found else None


def _named(given: MetricConfig) -> NamedMetric:
    if given.name in BUILT_IN:
        return NamedMetric(given.name, given.name, given.goal or BUILT_IN[given.name].goal)
    if factory.is_reference(given.name):
        return NamedMetric(given.name.partition(":")[2], given.name, given.goal or "maximize")
    raise TaskError(f"there is no metric {given.name!r}; {nearest(given.name, BUILT_IN)}")
