"""Magnitude pruning."""

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor, nn

from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod


@final
class Magnitude(ScoreMethod):
    """score(w) = |w|.

    Han, Pool, Tran, Dally: Learning both Weights and Connections for Efficient Neural Networks, NeurIPS 2015,
    arXiv 1506.02626.
    """

    name = "magnitude"
    title = "Magnitude: the largest weights stay"
    paper = "Han et al., NeurIPS 2015, arXiv 1506.02626"

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Score each weight by |w|, in the network's own dtype."""
        return {name: weight.detach().abs() for name, weight in weights.items()}
