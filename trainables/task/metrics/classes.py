"""Metrics of networks that choose one of several classes for each label, or yes or no for each label."""

from abc import abstractmethod
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from trainables.errors import TaskError
from trainables.task.loss import aligned
from trainables.task.metrics.metric import Metric
from trainables.task.outputs import class_scores

_TOP = 5


class _OfClasses(Metric):
    """Outputs are class scores (N, classes, ...) for integer labels (N, ...), or logits for labels 0 and 1.

    Such logits are of the labels' own shape. Scores may stand in a dictionary, see `class_scores`.
    """

    name: ClassVar[str]

    def _has_classes(self, outputs: Any, labels: Tensor) -> bool:
        """Tell whether each label is one of several classes, rather than 0 or 1 with its own output."""
        if isinstance(outputs, Tensor):
            if (
                outputs.dim() > 1
                and outputs.shape[1] > 1
                and outputs[:, 0].shape == labels.shape
                and not labels.is_floating_point()
            ):
                return True
            if outputs.shape == labels.shape or outputs.shape == (*labels.shape, 1):
                return False
        raise TaskError(
            f"metric {self.name} needs class scores (N, classes, ...) for integer labels (N, ...), or an "
            "output for each label 0 or 1; "
            f"{_told(outputs)} for {_kind(labels)} labels of shape {tuple(labels.shape)} are neither."
        )

    def _scores(self, outputs: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Select the labels that count: their scores (M, classes) and classes (M,)."""
        outputs = class_scores(outputs)
        if not self._has_classes(outputs, labels):
            raise TaskError(
                f"metric {self.name} needs class scores (N, classes, ...), not an output for each label 0 or "
                "1."
            )
        counted = labels != self.ignored
        return outputs.movedim(1, -1)[counted], labels[counted]


@final
class Accuracy(_OfClasses):
    """Share of the labels told right: by the largest output, or by the sign of the label's own logit."""

    name = "accuracy"

    def __init__(self, ignored: int):
        super().__init__(ignored)
        self._right: Tensor | int = 0
        self._all: Tensor | int = 0

    def update(self, outputs: Any, labels: Tensor) -> None:
        """Count the labels of a batch that were told right. Raises `TaskError` for other outputs."""
        outputs = class_scores(outputs)
        counts = (labels != self.ignored).sum() if self._has_classes(outputs, labels) else labels.numel()
        self._all = self._all + counts
        self._right = self._right + self.told_right(outputs, labels).sum()

    def told_right(self, outputs: Any, labels: Tensor) -> Tensor:
        """Tell of each label whether it was told right (never one that counts for nothing).

        Raises `TaskError` for other outputs.
        """
        outputs = class_scores(outputs)
        if self._has_classes(outputs, labels):
            right: Tensor = (outputs.argmax(dim=1) == labels) & (labels != self.ignored)
            return right
        logits, labels = aligned(outputs, labels)
        return (logits > 0) == (labels > 0.5)

    def compute(self) -> float:
        """Return the share of all labels counted; NaN where that is none."""
        return _ratio(int(self._right), int(self._all))


@final
class TopFiveAccuracy(_OfClasses):
    """Share of the labels that are among the five largest outputs (among all if classes are fewer)."""

    name = "top5_accuracy"

    def __init__(self, ignored: int):
        super().__init__(ignored)
        self._right: Tensor | int = 0
        self._all = 0

    def update(self, outputs: Any, labels: Tensor) -> None:
        """Count the labels of a batch among the five largest outputs. Raises `TaskError` without classes."""
        scores, classes = self._scores(outputs, labels)
        top = scores.topk(min(_TOP, scores.shape[1]), dim=1).indices
        self._right = self._right + (top == classes[:, None]).any(dim=1).sum()
        self._all += len(classes)

    def compute(self) -> float:
        """Return the share of all labels counted; NaN where that is none."""
        return _ratio(int(self._right), self._all)


class _ByClass(_OfClasses):
    """A mean over classes, from how often each was told and was right, was told, and was there."""

    def __init__(self, ignored: int):
        super().__init__(ignored)
        self._counts: Tensor | None = None

    def _count(self, predicted: Tensor, classes: Tensor, number: int) -> None:
        """Count by class what was told: ``predicted`` and ``classes``, int64, of shape (M,)."""
        parts = (classes[predicted == classes], predicted, classes)
        self._add(torch.stack([torch.bincount(part, minlength=number)[:number] for part in parts]))

    def _add(self, counts: Tensor) -> None:
        self._counts = counts if self._counts is None else self._counts + counts

    @staticmethod
    @abstractmethod
    def _of_class(right: Tensor, told: Tensor, there: Tensor) -> Tensor:
        """Compute the metric of each class, float64, from three counts (classes,); 0 / 0 is 0."""

    def compute(self) -> float:
        """Return the mean over the classes that were told or there; NaN where nothing was counted."""
        if self._counts is None:
            return float("nan")
        right, told, there = self._counts.cpu().double()
        seen = (told + there) > 0
        return float(self._of_class(right, told, there)[seen].mean())


@final
class F1(_ByClass):
    """Macro F1: the mean over classes of 2 right / (told + there).

    scikit-learn's ``f1_score(average="macro")``. Where each example has several labels 0 or 1, these take the
    classes' place, and those that are never told nor there count as 0.
    """

    name = "f1"

    def __init__(self, ignored: int):
        super().__init__(ignored)
        self._all_count = False

    def update(self, outputs: Any, labels: Tensor) -> None:
        """Count a batch by class, or by label where each is 0 or 1. Raises `TaskError` for other outputs."""
        outputs = class_scores(outputs)
        if self._has_classes(outputs, labels):
            scores, classes = self._scores(outputs, labels)
            self._count(scores.argmax(dim=1), classes, scores.shape[1])
            return
        logits, labels = aligned(outputs, labels)
        told, there = (
            (values > limit).flatten(1 if values.dim() > 1 else 0)
            for values, limit in ((logits, 0), (labels, 0.5))
        )
        if told.dim() == 1:  # one label an example
            told, there = told[:, None], there[:, None]
        self._all_count = True
        self._add(torch.stack([(told & there).sum(0), told.sum(0), there.sum(0)]))

    def compute(self) -> float:
        """Return the mean over classes or labels; NaN where nothing was counted."""
        if self._all_count and self._counts is not None:
            return float(self._of_class(*self._counts.cpu().double()).mean())
        return super().compute()

    @staticmethod
    def _of_class(right: Tensor, told: Tensor, there: Tensor) -> Tensor:
        return 2 * right / (told + there).clamp_min(1)


@final
class MeanIoU(_ByClass):
    """Mean intersection over union: the mean over classes of right / (told + there - right).

    scikit-learn's macro Jaccard score.
    """

    name = "mean_iou"

    def update(self, outputs: Any, labels: Tensor) -> None:
        """Count a batch by class. Raises `TaskError` without classes."""
        scores, classes = self._scores(outputs, labels)
        self._count(scores.argmax(dim=1), classes, scores.shape[1])

    @staticmethod
    def _of_class(right: Tensor, told: Tensor, there: Tensor) -> Tensor:
        return right / (told + there - right).clamp_min(1)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _told(outputs: Any) -> str:
    return (
        f"outputs of shape {tuple(outputs.shape)}"
        if isinstance(outputs, Tensor)
        else f"outputs that are {type(outputs).__name__}"
    )


def _kind(labels: Tensor) -> str:
    return "float" if labels.is_floating_point() else "integer"
