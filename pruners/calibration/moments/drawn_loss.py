"""The loss of class scores with labels drawn from the network itself."""

from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from pruners.calibration.divergence import class_scores
from pruners.calibration.moments.columns import computable
from pruners.errors import PrunerError


def drawn_loss(outputs: Any, generator: torch.Generator) -> Tensor:
    """Return the summed cross-entropy of a part's outputs with drawn labels, of maps one a position.

    Divided by the root of the number of positions. Raises PrunerError for outputs that are no class scores,
    or have no gradients.
    """
    scores = class_scores(outputs)
    if scores is None:
        raise PrunerError(
            "Gradient moments need a network that gives class scores, (N, classes, ...): take another error "
            "than 'predicted'."
        )
    if not scores.requires_grad:
        raise PrunerError(
            "Gradient moments need a network whose class scores have gradients, these have none."
        )
    labels = draw_labels(scores, generator)
    positions = labels[0].numel()
    return nn.functional.cross_entropy(computable(scores), labels, reduction="sum") / sqrt(positions)


def draw_labels(scores: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a label from the softmax of every image's and position's class scores (N, classes, ...)."""
    probabilities = scores.detach().double().cpu().softmax(1).movedim(1, -1)
    labels = torch.multinomial(probabilities.flatten(0, -2), 1, generator=generator)
    return labels.reshape(probabilities.shape[:-1]).to(scores.device)
