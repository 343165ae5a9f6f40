"""Optimal Brain Damage: what the loss would rise by without each weight, all others as they are."""

from collections.abc import Callable, Mapping
from typing import Any, final

from torch import Tensor, nn

from pruners.method import Option
from pruners.option_values import Choice, Whole
from pruners.sparse.curvature.fisher_diagonal import fisher_diagonal
from pruners.sparse.curvature.hessian_diagonal import hessian_diagonal
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod

_DIAGONALS = ("fisher", "hutchinson")
_NEGATIVE: dict[str, Callable[[Tensor], Tensor]] = {
    "signed": lambda curvature: curvature,
    "absolute": lambda curvature: curvature.abs_(),
    "zero": lambda curvature: curvature.clamp_(min=0),
}


@final
class OBD(ScoreMethod):
    """w^2 h / 2, with h the diagonal of the Hessian of the mean loss, of the weight's shape.

    LeCun, Denker, Solla: Optimal Brain Damage, NIPS 1989, equation (5), which leaves out the gradient (a
    trained network's is zero) and all that is off the diagonal. ``diagonal`` says where h comes from:
    ``fisher`` is the mean over the samples of their squared gradients, labels as given (the empirical
    Fisher); ``hutchinson`` estimates the Hessian's own diagonal with ``probes`` random vectors a batch.
    The paper propagates a Gauss-Newton diagonal, which is never negative; the Hessian's can be, away from
    a minimum. Then ``signed`` takes the formula at its word (such weights go first: the loss would fall),
    ``absolute`` takes the size of h, ``zero`` takes 0. The loss is a mean over its batch, batches count
    by their samples, BatchNorm is in eval mode.
    """

    name = "obd"
    title = "Optimal Brain Damage: w^2 h / 2 with the diagonal of the Hessian"
    paper = "LeCun et al., NIPS 1989"
    needs = ("data", "loss")
    options = (
        Option(
            "diagonal",
            "fisher",
            f"where the curvature comes from: {', '.join(_DIAGONALS)}",
            Choice(_DIAGONALS),
        ),
        Option("probes", 32, "random vectors a batch, for hutchinson", Whole(1, 10**6)),
        Option(
            "negative_curvature",
            "signed",
            f"what a negative curvature counts as, for hutchinson: {', '.join(_NEGATIVE)}",
            Choice(tuple(_NEGATIVE)),
        ),
    )

    def signed(self, options: Mapping[str, Any]) -> bool:
        """Tell whether scores have a sign: that of the Hessian's own diagonal."""
        return bool(options["diagonal"] == "hutchinson" and options["negative_curvature"] == "signed")

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Score each weight by w^2 h / 2."""
        if options["diagonal"] == "fisher":
            curvature = fisher_diagonal(network, weights, scoring_inputs)
        else:
            curvature = hessian_diagonal(network, weights, scoring_inputs, options["probes"])
        count = _NEGATIVE[options["negative_curvature"]]
        return {
            name: weight.detach().square() * count(curvature[name]) / 2 for name, weight in weights.items()
        }
