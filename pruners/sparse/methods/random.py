"""Random pruning, what every other method has to beat."""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod


@final
class Random(ScoreMethod):
    """score(w) ~ U(0, 1), independently for each weight and round.

    The baseline of, among others, Frankle, Dziugaite, Roy, Carbin: Pruning Neural Networks at Initialization:
    Why Are We Missing the Mark?, ICLR 2021, arXiv 2009.08576.
    """

    name = "random"
    title = "Random: any weights stay, by the seed"
    paper = "baseline, e.g. Frankle et al., ICLR 2021, arXiv 2009.08576"
    made_for = "either"

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Draw uniform scores in float64, where ties are as good as impossible, the same on every device."""
        return {
            n: torch.rand(w.shape, generator=scoring_inputs.generator, dtype=torch.float64, device="cpu").to(
                w.device
            )
            for n, w in weights.items()
        }
