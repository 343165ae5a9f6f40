"""MLPrune: Optimal Brain Surgeon's saliency with Kronecker-factored curvature."""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.method import Option
from pruners.network.inputs import batch_size
from pruners.option_values import Choice, Number
from pruners.sparse.curvature.batchnorm_mode import batchnorm_mode
from pruners.sparse.curvature.find_uses import find_complete_uses
from pruners.sparse.curvature.kronecker import Factors
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod

_LABELS = ("sampled", "empirical")


@final
class MLPrune(ScoreMethod):
    """w_ij^2 / (2 [G^-1]_ii [A^-1]_jj), with A and G the Kronecker factors of the layer's Fisher matrix.

    Zeng, Urtasun: MLPrune: Multi-Layer Pruning for Automated Neural Network Compression, 2018 (openreview
    r1g5b2RcKm), the baseline of Wang et al., GraSP, ICLR 2020. The saliency w_q^2 / (2 [F^-1]_qq) is that of
    Hassibi, Stork: Second Order Derivatives for Network Pruning: Optimal Brain Surgeon, NIPS 1992; inverting
    G ⊗ A factor by factor makes it the formula above. One threshold holds for all layers; the other weights
    are not adjusted, only the mask is wanted.

    A (d, d) is the second moment of the layer's inputs (of a convolution: of its patches, summed over
    positions) and G (o, o) that of the gradients of each sample's loss in its outputs (the mean over
    positions); each group of a convolution has its own. Biases are left out of A. ``labels="sampled"`` draws
    each label from softmax(outputs), classes along dimension 1, which gives the Fisher matrix itself;
    ``empirical`` takes the labels as given, which any loss allows. Gradients of a softmax sum to zero, so the
    output layer's G is always singular: ``damping`` decides how little that layer's weights are then worth,
    see `Factors.inverse_diagonal`. A layer without curvature scores zero. BatchNorm is in eval mode. The
    weight of an attention's projections, or of any layer that is never called because its parent reads its
    weight, is scored by the uses themselves, and refused by a PrunerError where it is used otherwise than in
    a convolution or as a Linear's. A Linear that shares its weight with an embedding is scored as a Linear
    alone.
    """

    name = "mlprune"
    title = "MLPrune: Optimal Brain Surgeon with Kronecker-factored curvature"
    paper = "Zeng & Urtasun 2018, openreview r1g5b2RcKm"
    needs = ("data", "loss")
    options = (
        Option(
            "labels",
            "sampled",
            f"labels that the curvature is taken for: {', '.join(_LABELS)}",
            Choice(_LABELS),
        ),
        Option("damping", 1e-3, "added to the curvature, as a share of its mean eigenvalue", Number()),
    )

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Score each weight by its saliency w^2 / (2 [F^-1]), zero in a layer without curvature.

        PrunerError for factors that are not finite or have no inverse.
        """
        factors = _factors(network, weights, scoring_inputs, options["labels"] == "sampled")
        samples = sum(batch_size(inputs) for inputs, _ in scoring_inputs.data)
        scores = {}
        for name, weight in weights.items():
            scores[name] = torch.zeros_like(weight)
            if name in factors:
                try:
                    inverse = (
                        factors[name].inverse_diagonal(samples, options["damping"]).reshape(weight.shape)
                    )
                except PrunerError as error:
                    raise PrunerError(
                        f"Layer {name.removesuffix('.weight')!r} cannot be scored: {error}"
                    ) from error
                scores[name] = (weight.detach().square() / (2 * inverse)).to(weight.dtype)
        return scores


def _factors(
    network: nn.Module, weights: Mapping[str, nn.Parameter], scoring_inputs: ScoringInputs, sampled: bool
) -> dict[str, Factors]:
    """Compute the factors of the layers that are used at all."""
    factors: dict[str, Factors] = {}
    with batchnorm_mode(network, "eval"):
        for inputs, labels in scoring_inputs.data:

            def objective(outputs: Tensor, labels: Tensor = labels) -> Tensor:
                assert scoring_inputs.loss is not None
                return scoring_inputs.loss(
                    outputs, _drawn(outputs, labels, scoring_inputs.generator) if sampled else labels
                )

            for name, uses in find_complete_uses(network, weights, inputs, objective).items():
                for use in uses:
                    if name not in factors:
                        factors[name] = Factors.empty(weights[name], use.groups)
                    factors[name].add(use)
    return factors


def _drawn(outputs: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a class for each label from the softmax of ``outputs`` (n, classes, ...), whatever the device."""
    scores_of_classes = isinstance(outputs, Tensor) and outputs.dim() >= 2
    if labels.is_floating_point() or not scores_of_classes or labels.shape != outputs[:, 0].shape:
        raise PrunerError(
            "labels='sampled' needs class scores (n, classes, ...) and class numbers as labels; "
            "take labels='empirical'."
        )
    chances = outputs.detach().movedim(1, -1).double().cpu().softmax(-1)
    if not chances.isfinite().all():
        raise PrunerError("The network's outputs are not finite, so that no labels can be drawn from them.")
    drawn = torch.multinomial(chances.flatten(0, -2), 1, generator=generator)
    return drawn.reshape(labels.shape).to(labels)
