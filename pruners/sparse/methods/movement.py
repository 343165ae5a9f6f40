"""Movement: weights that a step of training would take further from zero are kept."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

from torch import Tensor, nn

from pruners.sparse.curvature.batchnorm_mode import BATCHNORM
from pruners.sparse.curvature.gradients import loss_gradients
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod


@final
class Movement(ScoreMethod):
    """-w * dL/dw, with its sign.

    Sanh, Wolf, Rush: Movement Pruning: Adaptive Sparsity by Fine-Tuning, NeurIPS 2020, arXiv 2005.07683,
    section 4: the score of a weight is the sum of -w * dL/dw over the steps of training. This is its first
    term: nothing is trained, and dL/dw (of the weight's shape) is the gradient of the mean loss over all
    samples at the weights as they are. Positive where a gradient step takes the weight away from zero,
    negative where it takes it there.
    """

    name = "movement"
    title = "Movement: weights that a gradient step takes away from zero"
    paper = "Sanh et al., NeurIPS 2020, arXiv 2005.07683"
    needs = ("data", "loss")
    options = (replace(BATCHNORM, default="eval"),)

    def signed(self, options: Mapping[str, Any]) -> bool:
        """Tell that scores have a sign."""
        return True

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Score each weight by -w * dL/dw."""
        gradients = loss_gradients(network, weights, scoring_inputs, options["bn"])
        return {name: -weight.detach() * gradients[name] for name, weight in weights.items()}
