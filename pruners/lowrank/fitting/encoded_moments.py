"""The decoder of a layer from what its first half makes of inputs, and the outputs that are wanted of it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruners.calibration.moments.columns import computable
from pruners.calibration.moments.moment import about_means, variance
from pruners.calibration.normal_equations import solve_normal_equations
from pruners.lowrank.fitting.output_fit import encoded, mean_diagonal

_ELEMENTS = 2**21  # of outputs that are multiplied at once in the network's dtype; sums are in float64


@dataclass(frozen=True, eq=False)
class EncodedMoments:
    """Moments of encoded inputs z = E x with wanted outputs y, over all positions, in float64 on the CPU.

    ``products`` is the mean of z z^T (groups x k rank x k rank), ``targets`` that of z y^T (groups x k rank x
    rows), ``mean`` and ``output_mean`` those of z and y, ``energy`` that of |y|^2 over all groups.
    """

    products: Tensor
    targets: Tensor
    mean: Tensor
    output_mean: Tensor
    energy: float

    def centred(self) -> "EncodedMoments":
        """Return the moments about the means, which a bias takes care of."""
        products, targets = about_means(self.products, self.targets.mT, self.mean, self.output_mean)
        energy = variance(self.energy, self.output_mean)
        return EncodedMoments(products, targets.mT, self.mean, self.output_mean, energy)

    def decoder(self, matrix: Tensor, encoders: Tensor, ridge: float) -> Tensor:
        """Return the least-squares decoder of orthonormal encoders: groups x k x rows x rank.

        The ridge, a share of the mean square of z, draws it towards that of the weights ``matrix`` alone.
        """
        groups, subspaces, rank, _ = encoders.shape
        noise = ridge * mean_diagonal(self.products)[:, None]
        products = self.products + torch.diag_embed(noise.expand(self.products.shape[:2]))
        targets = self.targets + noise.unsqueeze(-1) * encoded(encoders, matrix.mT)
        solved = solve_normal_equations(products, targets)
        return solved.mT.reshape(groups, -1, subspaces, rank).transpose(1, 2)

    def error(self, decoder: Tensor) -> float:
        """Return the relative error of a decoder's outputs, 0 where there are none."""
        flat = decoder.transpose(1, 2).flatten(2)
        left = float(((flat @ self.products - 2 * self.targets.mT) * flat).sum()) + self.energy
        return (max(left, 0.0) / self.energy) ** 0.5 if self.energy > 0 else 0.0

    def shift(self, decoder: Tensor) -> Tensor:
        """Return what a decoder's outputs lack on average: groups x rows."""
        made = decoder.transpose(1, 2).flatten(2) @ self.mean.unsqueeze(-1)
        return self.output_mean - made.squeeze(-1)


def encoded_moments(
    first: nn.Module, inputs: Tensor, outputs: Tensor, bias: Tensor | None, groups: int
) -> EncodedMoments:
    """Sum up what a layer's first half makes of inputs (N, ...) with the outputs wanted of the layer.

    ``bias`` is what the outputs have on top of what the two halves are to make.
    """
    if outputs.dim() == (3 if isinstance(first, nn.Conv2d) else 1):  # no batch dimension
        inputs, outputs = inputs[None], outputs[None]
    sums: list[Tensor] = []
    positions = 0
    size = max(1, _ELEMENTS * len(outputs) // max(1, outputs.numel()))
    for given, wanted in zip(inputs.split(size), outputs.split(size), strict=True):
        z, y = _flat(first, first(given), groups), _flat(first, wanted, groups)
        if bias is not None:
            y = y - bias.detach().to(y.dtype).reshape(groups, -1, 1)
        in_part = [z @ z.mT, z @ y.mT, z.sum(-1), y.sum(-1), y.square().sum()]
        parts = [product.double() for product in in_part]
        sums = [total + part for total, part in zip(sums, parts, strict=True)] if sums else parts
        positions += z.shape[-1]
    products, targets, mean, output_mean, energy = (total.cpu() / positions for total in sums)
    return EncodedMoments(products, targets, mean, output_mean, float(energy))


def _flat(first: nn.Module, values: Tensor, groups: int) -> Tensor:
    """Bring (N, channels, ...) of a convolution, (..., features) of a Linear, to groups x n x positions."""
    channels = 1 if isinstance(first, nn.Conv2d) else values.dim() - 1
    return computable(values).movedim(channels, 0).flatten(1).unflatten(0, (groups, -1))
