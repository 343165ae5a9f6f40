"""The diagonal of the empirical Fisher matrix, from exact gradients of every sample's loss."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pruners.network.inputs import Inputs, batch_size, forward, split_inputs, take_inputs
from pruners.sparse.curvature.batchnorm_mode import batchnorm_mode
from pruners.sparse.curvature.find_uses import find_uses
from pruners.sparse.curvature.gradients import differentiable
from pruners.sparse.curvature.scoring_inputs import ScoringInputs
from pruners.sparse.curvature.use import Use

_SAMPLES = 64  # that go through the network together


def fisher_diagonal(
    network: nn.Module, weights: Mapping[str, nn.Parameter], scoring_inputs: ScoringInputs
) -> dict[str, Tensor]:
    """Compute the empirical Fisher matrix's diagonal, of each weight's shape, labels as given.

    It is the mean over all samples of the squared gradient of each sample's loss. BatchNorm is in eval mode,
    else a sample would have no gradient of its own. One pass over a batch gives what goes in and comes back
    at each layer, hence every sample's gradient; a batch whose first sample has another gradient when it is
    alone (a weight used outside its layer, samples that see each other, a loss that weighs them) is gone
    through sample by sample.
    """
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    samples = sum(batch_size(inputs) for inputs, _ in scoring_inputs.data)
    with batchnorm_mode(network, "eval"):
        for all_inputs, all_labels in scoring_inputs.data:
            # no sample knows of the others, so that parts of a batch do, whose activations take less memory
            for inputs, labels in zip(
                split_inputs(all_inputs, _SAMPLES), all_labels.split(_SAMPLES), strict=True
            ):
                for name, squares in _squares(network, weights, inputs, labels, scoring_inputs).items():
                    total[name].add_(squares, alpha=1 / samples)
    return total


def _squares(
    network: nn.Module,
    weights: Mapping[str, nn.Parameter],
    inputs: Inputs,
    labels: Tensor,
    scoring_inputs: ScoringInputs,
) -> Mapping[str, Tensor]:
    """Sum the squared gradients of a batch's samples."""

    def objective(outputs: Tensor) -> Tensor:
        assert scoring_inputs.loss is not None
        return scoring_inputs.loss(outputs, labels)

    def alone(sample: int) -> Sequence[Tensor]:
        assert scoring_inputs.loss is not None
        one = slice(sample, sample + 1)
        loss = differentiable(scoring_inputs.loss(forward(network, take_inputs(inputs, one)), labels[one]))
        return torch.autograd.grad(loss, list(weights.values()), allow_unused=True, materialize_grads=True)

    uses = find_uses(network, weights, inputs, objective)
    first = alone(0)
    if all(
        _agrees(uses[name], gradient, batch_size(inputs))
        for name, gradient in zip(weights, first, strict=True)
    ):
        return {name: _layer_squares(uses[name], weight) for name, weight in weights.items()}
    squares = [gradient.square() for gradient in first]
    for sample in range(1, batch_size(inputs)):
        for square, gradient in zip(squares, alone(sample), strict=True):
            square.addcmul_(gradient, gradient)
    return dict(zip(weights, squares, strict=True))


def _agrees(uses: Sequence[Use], gradient: Tensor, samples: int) -> bool:
    """Tell whether the layer's uses give its first sample the gradient that it has when it is alone."""
    if any(len(use.inputs) != samples or len(use.gradients) != samples for use in uses):
        return False
    found = sum(
        (use.sample_gradients(0, 1).reshape(gradient.shape) for use in uses), torch.zeros_like(gradient)
    )
    return bool((found - gradient).norm() <= torch.finfo(gradient.dtype).eps ** 0.5 * gradient.norm())


def _layer_squares(uses: Sequence[Use], weight: Tensor) -> Tensor:
    """Sum over samples the squared gradients in one layer's weight."""
    if len(uses) == 1 and uses[0].positions == 1 and uses[0].used_groups == slice(0, uses[0].groups):
        # one outer product a sample: its square is that of the squares
        rows, columns = (factor.squeeze(-1).square() for factor in uses[0].factors(0, uses[0].samples))
        return (rows @ columns.mT).reshape(weight.shape)
    total = torch.zeros_like(weight)
    chunks = min((use.chunks(weight.numel()) for use in uses), key=lambda chunks: chunks[0][1], default=[])
    for start, stop in chunks:
        gradients = torch.stack([use.sample_gradients(start, stop) for use in uses]).sum(0)
        total += gradients.square_().sum(0).reshape(weight.shape)
    return total
