"""Gradient magnitude: weights that the loss is most sensitive to are kept, whatever their size."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

from torch import Tensor, nn

from pruners.sparse.curvature.batchnorm_mode import BATCHNORM
from pruners.sparse.curvature.gradients import loss_gradients
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod


@final
class GradientMagnitude(ScoreMethod):
    """The absolute value of dL/dw, the gradient of the mean loss over all samples, of the weight's shape.

    Blalock, Gonzalez Ortiz, Frankle, Guttag: What is the State of Neural Network Pruning?, MLSys 2020, arXiv
    2003.03033, section 7.2, whose baseline multiplies by the weight (which is SNIP's score); this is the
    gradient alone.
    """

    name = "gradient_magnitude"
    title = "Gradient magnitude: |dL/dw| without the weight"
    paper = "baseline; compare Blalock et al., MLSys 2020, arXiv 2003.03033"
    needs = ("data", "loss")
    options = (replace(BATCHNORM, default="eval"),)

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Score each weight by |dL/dw|."""
        gradients = loss_gradients(network, weights, scoring_inputs, options["bn"])
        return {name: gradient.abs() for name, gradient in gradients.items()}
