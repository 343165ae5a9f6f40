"""A loss that follows another network's outputs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pruners.calibration.divergence import class_scores
from pruners.network.inputs import Inputs, forward
from trainables.config import DistillationConfig
from trainables.errors import TaskError
from trainables.task.outputs import class_scores as scores_in


class Distillation:
    """What a trained network, the teacher, adds to the loss (Hinton et al. 2015, arXiv 1503.02531).

    With weight w and temperature T the loss is (1 - w) * loss + w * T^2 * KL(p || q): p and q are the softmax
    over the classes of the teacher's and of the network's scores divided by T, the divergence is the mean
    over examples and positions, and T^2 keeps its gradients as large as those of the labels (section 2).
    ``share`` is how much the divergence of a batch counts that is a part of one.
    """

    def __init__(self, teacher: nn.Module, config: DistillationConfig, share: float = 1.0) -> None:
        self._teacher, self._config, self._share = teacher.eval(), config, share

    def of_part(self, share: float) -> "Distillation":
        """Return the same for a part of a batch, whose loss by the labels is given as it counts already."""
        return Distillation(self._teacher, self._config, share)

    def loss(self, of_labels: Tensor, outputs: Any, inputs: Inputs) -> Tensor:
        """Return the loss of a batch, given that by the labels, the network's outputs and its inputs.

        Raises `TaskError` for outputs that are no class scores (N, classes, ...).
        """
        with torch.no_grad():
            taught = class_scores(forward(self._teacher, inputs))
        scores = class_scores(scores_in(outputs))
        if scores is None or taught is None:
            raise TaskError(
                "compression.distillation needs a network that gives class scores, (N, classes, ...)."
            )
        log_p, log_q = (
            functional.log_softmax(one.float() / self._config.temperature, 1) for one in (taught, scores)
        )
        positions = log_p.numel() // log_p.shape[1]
        divergence = functional.kl_div(log_q, log_p, reduction="sum", log_target=True) / positions
        weight = self._config.weight
        if self._share != 1:
            divergence = divergence * self._share
        return (1 - weight) * of_labels + weight * self._config.temperature**2 * divergence
