"""GraSP: weights whose removal would cost the gradient's norm most."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.method import Option
from pruners.network.inputs import Inputs, forward, join_inputs, take_inputs
from pruners.option_values import Choice, Flag, Number
from pruners.sparse.curvature.batchnorm_mode import BATCHNORM_MODES, batchnorm_mode
from pruners.sparse.curvature.differentiating_twice import differentiating_twice
from pruners.sparse.curvature.gradients import differentiable
from pruners.sparse.curvature.hessian_vector_product import hessian_gradient
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod
from pruners.sparse.selection.prunable import linear_weights

_PRESETS: dict[str, dict[str, Any]] = {
    "official": {"halves": True, "bn": "train", "reinit_linear": True},
    "one-batch": {"halves": False, "bn": "eval", "reinit_linear": False},
    "abs": {"halves": True, "bn": "train", "reinit_linear": True},
}


@final
class GraSP(ScoreMethod):
    """w * (H g), of the weight's shape, with the gradient g and the Hessian H of the loss of logits / T.

    Both are in all prunable weights. Wang, Zhang, Grosse: Picking Winning Tickets Before Training by
    Preserving Gradient Flow, ICLR 2020, arXiv 2002.07376, equation (8) and algorithm 2. The paper scores
    -w * (H g) and removes the highest; here the highest are kept, hence the sign. Its normalisation changes
    no mask and is left out. Papers and code disagree on the rest, which ``preset`` settles:

    - official, the authors' code: all samples joined in the given order and cut into two halves, g and then
      H g summed over them (with samples in class order each half holds half of the classes), BatchNorm in
      train mode, Linear weights drawn anew (Xavier normal) while scoring and only then.
    - one-batch, as in SynFlow's code (Tanaka et al., NeurIPS 2020): the samples joined as one batch,
      BatchNorm in eval mode, the weights as they are.
    - abs: |w * (H g)| and otherwise official, a variant of Frankle et al., ICLR 2021, arXiv 2009.08576.

    ``bn`` and ``reinit_linear`` go before the preset's own.
    """

    name = "grasp"
    title = "GraSP: preserves the gradient's norm, w * (H g)"
    paper = "Wang et al., ICLR 2020, arXiv 2002.07376"
    made_for = "untrained"
    needs = ("data", "loss")
    options = (
        Option(
            "preset",
            "official",
            "official (two halves, BatchNorm in train mode), one-batch (BatchNorm in eval mode) "
            "or abs (official, absolute)",
            Choice(tuple(_PRESETS)),
        ),
        Option(
            "bn",
            None,
            "BatchNorm normalises by the batch's statistics (train) or by its running ones (eval); "
            "None: the preset's",
            Choice(BATCHNORM_MODES),
        ),
        Option(
            "reinit_linear",
            None,
            "draw Linear weights anew while scoring; None: the preset's, which is true but for one-batch",
            Flag(),
        ),
        Option("temperature", 200.0, "T: logits are divided by it", Number(above=True)),
        Option(
            "keep_graphs",
            "auto",
            "keep what differentiating twice needs (faster) or build it again (less memory); "
            "auto: as memory allows",
            Flag(("auto",)),
        ),
    )

    def with_defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given options beside the defaults of all others, the preset's own written out."""
        chosen = super().with_defaults(given)
        preset = _PRESETS[chosen["preset"]]
        return chosen | {name: preset[name] for name in ("bn", "reinit_linear") if chosen[name] is None}

    def signed(self, options: Mapping[str, Any]) -> bool:
        """Tell whether scores have a sign, as they have but for the preset abs."""
        return bool(options["preset"] != "abs")

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Score each weight by w * (H g), or its absolute value."""
        assert scoring_inputs.loss is not None
        temperature, loss = options["temperature"], scoring_inputs.loss

        def value(inputs: Inputs, labels: Tensor) -> Tensor:
            outputs = forward(network, inputs)
            if not isinstance(outputs, Tensor):
                raise PrunerError(
                    "GraSP divides the network's output by its temperature, so it must be one tensor, "
                    f"not a {type(outputs).__name__}."
                )
            return differentiable(loss(outputs / temperature, labels))

        chunks = _chunks(scoring_inputs, _PRESETS[options["preset"]]["halves"])
        drawn = (
            _linear_drawn_anew(network, weights, alive, scoring_inputs.generator)
            if options["reinit_linear"]
            else nullcontext()
        )
        with drawn, batchnorm_mode(network, options["bn"]), differentiating_twice("GraSP"):
            losses: list[Callable[[], Tensor]] = [partial(value, inputs, labels) for inputs, labels in chunks]
            products = hessian_gradient(losses, list(weights.values()), options["keep_graphs"])
            scores = {
                name: product.mul_(weight.detach())
                for (name, weight), product in zip(weights.items(), products, strict=True)
            }
        return (
            {name: score.abs_() for name, score in scores.items()} if options["preset"] == "abs" else scores
        )


def _chunks(scoring_inputs: ScoringInputs, halves: bool) -> Sequence[tuple[Inputs, Tensor]]:
    inputs, labels = (
        join_inputs([i for i, _ in scoring_inputs.data]),
        torch.cat([answers for _, answers in scoring_inputs.data]),
    )
    if not halves:
        return [(inputs, labels)]
    middle = len(labels) // 2
    if not middle:
        raise PrunerError(
            "GraSP cuts the samples into two halves and needs at least 2; the preset one-batch does not."
        )
    return [(take_inputs(inputs, half), labels[half]) for half in (slice(middle), slice(middle, None))]


@contextmanager
def _linear_drawn_anew(
    network: nn.Module,
    weights: Mapping[str, nn.Parameter],
    alive: Mapping[str, Tensor],
    generator: torch.Generator,
) -> Iterator[None]:
    """Draw Xavier-normal weights for every Linear and attention projection, zero where removed.

    The network's own weights return afterwards.
    """
    masks: dict[Tensor, Tensor] = {weights[name]: mask for name, mask in alive.items()}
    found = [weight for module in network.modules() for weight in linear_weights(module)]
    linear = {weight: weight.detach().clone() for weight in found}
    try:
        with torch.no_grad():
            for weight in linear:
                # drawn on the CPU, so that every device gets the same
                weight.copy_(
                    nn.init.xavier_normal_(
                        torch.empty(weight.shape, dtype=weight.dtype, device="cpu"), generator=generator
                    )
                )
                if weight in masks:
                    weight.masked_fill_(~masks[weight], 0)
        yield
    finally:
        with torch.no_grad():
            for weight, own in linear.items():
                weight.copy_(own)
