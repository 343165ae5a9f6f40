"""SNIP: weights whose removal the loss would feel most."""

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor, nn

from pruners.sparse.curvature.batchnorm_mode import BATCHNORM
from pruners.sparse.curvature.gradients import loss_gradients
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod


@final
class SNIP(ScoreMethod):
    """|w dL/dw|, of the weight's shape: how fast the loss changes as a weight fades.

    It is the derivative in c at c = 1 of L(c w). Lee, Ajanthan, Torr: SNIP: Single-shot Network Pruning based
    on Connection Sensitivity, ICLR 2019, arXiv 1810.02340, equations (5) and (6). The paper divides by the
    sum of all scores, which changes no mask. L is the mean loss over all samples, so several batches stand
    for one, BatchNorm apart: the paper's code scores in train mode (``bn``, the default here), where each
    batch has statistics of its own; later comparisons use eval mode.
    """

    name = "snip"
    title = "SNIP: connection sensitivity |w dL/dw|"
    paper = "Lee et al., ICLR 2019, arXiv 1810.02340"
    made_for = "untrained"
    needs = ("data", "loss")
    options = (BATCHNORM,)

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Score each weight by |w dL/dw|."""
        return connection_sensitivity(network, weights, scoring_inputs, options["bn"])


def connection_sensitivity(
    network: nn.Module, weights: Mapping[str, nn.Parameter], scoring_inputs: ScoringInputs, bn: str
) -> Scores:
    """Compute |w dL/dw| in each weight's shape and dtype."""
    gradients = loss_gradients(network, weights, scoring_inputs, bn)
    return {name: gradients[name].mul_(weight.detach()).abs_() for name, weight in weights.items()}
