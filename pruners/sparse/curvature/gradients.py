"""The gradient of the loss over all samples that a method was given."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.network.inputs import batch_size, forward
from pruners.sparse.curvature.batchnorm_mode import batchnorm_mode
from pruners.sparse.curvature.scoring_inputs import ScoringInputs


def loss_gradients(
    network: nn.Module, weights: Mapping[str, nn.Parameter], scoring_inputs: ScoringInputs, bn: str
) -> dict[str, Tensor]:
    """Compute dL/dw for each of ``weights``, of its shape, with L the mean loss over all batches' samples.

    ``scoring_inputs.loss`` is taken to be a mean over its batch, so batches count by their sizes; a
    weight that no sample reaches gets zeros. BatchNorm runs as `batchnorm_mode` says, over one batch at a
    time.
    """
    assert scoring_inputs.loss is not None
    samples = sum(batch_size(inputs) for inputs, _ in scoring_inputs.data)
    parameters = list(weights.values())
    total = [torch.zeros_like(parameter) for parameter in parameters]
    with batchnorm_mode(network, bn):
        for inputs, labels in scoring_inputs.data:
            value = differentiable(scoring_inputs.loss(forward(network, inputs), labels))
            part = torch.autograd.grad(
                value * (batch_size(inputs) / samples), parameters, allow_unused=True, materialize_grads=True
            )
            for whole, gradient in zip(total, part, strict=True):
                whole += gradient
    return dict(zip(weights, total, strict=True))


def differentiable(loss: Tensor) -> Tensor:
    """Return the loss; PrunerError unless it is one number that depends on the network's weights."""
    if not isinstance(loss, Tensor):
        raise PrunerError(
            f"loss must give one number as a tensor that has a gradient, not a {type(loss).__name__}."
        )
    if loss.numel() != 1 or not loss.requires_grad:
        trouble = (
            f"has shape {tuple(loss.shape)}"
            if loss.numel() != 1
            else "does not depend on the network's weights"
        )
        raise PrunerError(f"loss must give one number that has a gradient; what it gave {trouble}.")
    return loss
