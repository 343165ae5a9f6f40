"""Movement: weights that a step of training would take further from zero are kept."""

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor, nn

from pruners.positions import evaluating
from pruners.sparse.gradients import mean_gradients
from pruners.sparse.score_method import Given, ScoreMethod, Scores


@final
class Movement(ScoreMethod):
    """-w * dL/dw, with its sign.

    Sanh, Wolf, Rush: Movement Pruning: Adaptive Sparsity by Fine-Tuning, NeurIPS 2020, arXiv 2005.07683, section 4: the score of a
    weight is the sum of -w * dL/dw over the steps of training. This is its first term: nothing is trained, and dL/dw (of the
    weight's shape) is the gradient of the mean loss over all samples at the weights as they are. Positive where a gradient step
    takes the weight away from zero, negative where it takes it there. Networks are scored in eval mode.
    """

    name = "movement"
    title = "Movement: weights that a gradient step takes away from zero"
    paper = "Sanh et al., NeurIPS 2020, arXiv 2005.07683"
    needs = ("data", "loss")

    def scores(
        self, network: nn.Module, weights: Mapping[str, nn.Parameter], alive: Mapping[str, Tensor], given: Given, options: Mapping[str, Any]
    ) -> Scores:
        """As `ScoreMethod.scores`."""
        assert given.loss is not None
        with evaluating(network, gradients=True):
            gradients = mean_gradients(network, weights, given.data, given.loss)
        return {name: -weight.detach() * gradients[name] for name, weight in weights.items()}
