"""How far a compressed network's outputs are from the dense one's."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor

from pruners.errors import PrunerError

_ELEMENTS = 2**20  # of outputs that are compared at once in float64


class OutputDistance:
    """Kullback-Leibler divergence of class scores, or relative squared error of other outputs.

    Class scores are a tensor (N, classes, ...) of at least two classes, or a dictionary with such a one under
    "out" or "logits" (torchvision's segmentation networks, transformers): softmax over dimension 1, KL(dense
    || compressed) in nats, averaged over images and positions. Of all other outputs (a single value an image,
    several tensors) the sum of squared differences is divided by that of the dense outputs' squares.
    """

    def __init__(self) -> None:
        self._total, self._weight = 0.0, 0.0

    @torch.no_grad()
    def add(self, dense: Any, compressed: Any) -> None:
        """Add the outputs for one batch.

        Raises PrunerError where they are of different form or hold no tensors, and for dense ones that are
        not numbers.
        """
        ours, theirs = class_scores(dense), class_scores(compressed)
        if ours is not None and theirs is not None:
            _check_shapes(ours, theirs)
            positions = ours.numel() // max(1, ours.shape[1])
            size = max(1, _ELEMENTS * len(ours) // max(1, ours.numel()))
            for p, q in zip(ours.split(size), theirs.split(size), strict=True):
                log_p, log_q = p.double().log_softmax(1), q.double().log_softmax(1)
                _check_finite(log_p.exp())
                # what a class of score -inf adds is nothing
                self._total += float(torch.where(log_p > -inf, log_p.exp() * (log_p - log_q), 0.0).sum())
            self._weight += positions
            return
        a_parts, b_parts = tensors_of(dense), tensors_of(compressed)
        if len(a_parts) != len(b_parts):
            number = f"{len(a_parts)} tensors and {len(b_parts)}"
            raise PrunerError(
                f"The networks' outputs have different forms, {number}: they cannot be compared."
            )
        if not a_parts:
            raise PrunerError(
                f"The network gives a {type(dense).__name__}, which holds no tensors that could be compared: "
                "calibration images need a network that gives tensors, or tuples or dictionaries of them."
            )
        for a, b in zip(a_parts, b_parts, strict=True):
            _check_shapes(a, b)
            _check_finite(a)
            self._total += float((a.double() - b.double()).square().sum())
            self._weight += float(a.double().square().sum())

    @property
    def value(self) -> float:
        """Return the mean over everything added; infinite where an output was not finite."""
        if self._total != self._total:
            return float("inf")
        if not self._weight:
            return 0.0 if not self._total else float("inf")
        return max(0.0, self._total / self._weight)


def class_scores(outputs: Any) -> Tensor | None:
    """Return the tensor of class scores (N, classes, ...) in a network's outputs, or None."""
    if isinstance(outputs, Mapping):
        outputs = next((outputs[key] for key in ("out", "logits") if key in outputs), None)
    if isinstance(outputs, Tensor) and outputs.is_floating_point() and outputs.dim() > 1:
        return outputs if outputs.shape[1] > 1 else None
    return None


def tensors_of(outputs: Any) -> list[Tensor]:
    """Return all tensors in a network's outputs, in order."""
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    if isinstance(outputs, Sequence) and not isinstance(outputs, str):
        return [tensor for part in outputs for tensor in tensors_of(part)]
    return []


def _check_finite(dense: Tensor) -> None:
    if not bool(dense.isfinite().all()):
        raise PrunerError("The network's own outputs on the calibration images are not finite.")


def _check_shapes(dense: Tensor, compressed: Tensor) -> None:
    if dense.shape != compressed.shape:
        raise PrunerError(
            f"The networks' outputs have different shapes, {tuple(dense.shape)} and "
            f"{tuple(compressed.shape)}, and cannot be compared."
        )
