"""Iterative SNIP: SNIP's scores again and again on what is left."""

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor, nn

from pruners.sparse.curvature.batchnorm_mode import BATCHNORM
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod
from pruners.sparse.methods.snip import connection_sensitivity


@final
class IterativeSNIP(ScoreMethod):
    """|w dL/dw| of the masked network, taken anew in each of 100 rounds; one round is SNIP.

    de Jorge, Sanyal, Behl, Torr, Rogez, Dokania: Progressive Skeletonization: Trimming more fat from a
    network at initialization, ICLR 2021, arXiv 2006.09081 (Iter-SNIP: removed weights stay removed, unlike
    FORCE's); Verdenius, Stol, Forré: Pruning via Iterative Ranking of Sensitivity Statistics, 2020, arXiv
    2006.00896. The density falls exponentially, the former's default. Every round scores the same samples;
    papers that draw new ones differ there.
    """

    name = "iterative_snip"
    title = "Iterative SNIP: connection sensitivity, taken anew as weights go"
    paper = "de Jorge et al., ICLR 2021, arXiv 2006.09081"
    made_for = "untrained"
    needs = ("data", "loss")
    options = (BATCHNORM,)
    rounds = 100

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Score each weight by |w dL/dw| of the network as it is masked by now."""
        return connection_sensitivity(network, weights, scoring_inputs, options["bn"])
