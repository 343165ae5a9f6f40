"""The diagonal of the Hessian, estimated from products with random signs."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pruners.network.inputs import batch_size, forward
from pruners.sparse.curvature.batchnorm_mode import batchnorm_mode
from pruners.sparse.curvature.differentiating_twice import differentiating_twice
from pruners.sparse.curvature.gradients import differentiable
from pruners.sparse.curvature.scoring_inputs import ScoringInputs


def hessian_diagonal(
    network: nn.Module, weights: Mapping[str, nn.Parameter], scoring_inputs: ScoringInputs, probes: int
) -> dict[str, Tensor]:
    """Estimate the diagonal of the mean loss's Hessian as Hutchinson does, of each weight's shape.

    The mean over ``probes`` vectors z of independent random signs, drawn anew for each batch, of z * (H z):
    its expectation is the diagonal, its variance in one entry the sum of the squares of the Hessian's other
    entries in that row over ``probes``. (Bekas, Kokiopoulou, Saad: An Estimator for the Diagonal of a Matrix,
    Applied Numerical Mathematics 57, 2007.) BatchNorm is in eval mode.
    """
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    samples = sum(batch_size(inputs) for inputs, _ in scoring_inputs.data)
    leaves = list(weights.values())
    with batchnorm_mode(network, "eval"), differentiating_twice("OBD by hutchinson"):
        for inputs, labels in scoring_inputs.data:
            assert scoring_inputs.loss is not None
            loss = differentiable(scoring_inputs.loss(forward(network, inputs), labels))
            signs = (_signs(leaves, scoring_inputs.generator) for _ in range(probes))
            for name, products in zip(weights, probed(loss, leaves, signs), strict=True):
                total[name].add_(products, alpha=batch_size(inputs) / (samples * probes))
    return total


def probed(loss: Tensor, weights: Sequence[Tensor], probes: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """Sum z * (H z) over ``probes`` z, tensors of the weights' shapes, with H the Hessian of ``loss``."""
    gradients = torch.autograd.grad(
        loss, weights, create_graph=True, allow_unused=True, materialize_grads=True
    )
    total = [torch.zeros_like(weight) for weight in weights]
    curved = [gradient.requires_grad for gradient in gradients]
    if not any(curved):
        return total
    heads = [gradient for gradient, bends in zip(gradients, curved, strict=True) if bends]
    for probe in probes:
        along = [z for z, bends in zip(probe, curved, strict=True) if bends]
        products = torch.autograd.grad(
            heads, weights, along, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for entry, signs, product in zip(total, probe, products, strict=True):
            entry.addcmul_(signs, product)
    return total


def _signs(weights: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Draw random signs (Rademacher vectors), the same on every device."""
    return [
        torch.randint(0, 2, weight.shape, generator=generator).mul_(2).sub_(1).to(weight)
        for weight in weights
    ]
