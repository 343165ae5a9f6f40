"""The second moment of what a layer is given, and with what is wanted of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pruners.errors import BadArtifact, PrunerError

_ROWS = 512  # that are mirrored at once
_ROUNDING = 1e-6  # of a mean square: what is left about the mean of values that do not vary


@dataclass(frozen=True, eq=False)
class Moment:
    """Mean and second moment of a layer's input columns, per group, in float64 on the CPU.

    A column is what one output position of a convolution sees of one group: ``n`` = in_channels / groups *
    kernel values in the order of the folded weight; a Linear's is its input features. ``second`` (groups x n
    x n) is the sum of the columns' outer products divided by their number ``columns``; ``mean`` (groups x n)
    is their mean. The mean squared output error of a weight W' (rows x n) in place of W is hence
    trace((W - W') second (W - W')^T).
    """

    second: Tensor
    mean: Tensor
    columns: int

    @classmethod
    def of_sums(cls, second: Tensor, first: Tensor, columns: int) -> "Moment":
        """Divide sums over columns by their number; ``second`` is changed."""
        return cls(second.div_(columns).cpu(), (first / columns).cpu(), columns)

    def tensors(self) -> dict[str, Tensor]:
        """Return the moment as tensors for a file, of ``second`` the rows from the diagonal on."""
        rows = [self.second[:, i, i:] for i in range(self.second.shape[-1])]
        upper = torch.cat(rows, dim=1) if rows else self.second.flatten(1)
        return {"upper": upper, "mean": self.mean, "columns": torch.tensor(self.columns, device="cpu")}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Moment":
        """Make the very moment of what `tensors` gave. Raises BadArtifact for anything else."""
        try:
            upper, mean, columns = tensors["upper"], tensors["mean"], int(tensors["columns"])
            groups, n = mean.shape
            second = upper.new_zeros(groups, n, n)
            for i, row in enumerate(upper.split([n - i for i in range(n)], dim=1)):
                second[:, i, i:] = row
        except (KeyError, RuntimeError, ValueError) as error:
            raise BadArtifact(f"Kept moments are damaged: {error}.") from None
        return cls(mirrored(second), mean, columns)


@dataclass(frozen=True, eq=False)
class FitMoments:
    """Moments of a layer's inputs x in the compressed network with its outputs y in the dense one.

    ``second`` is the mean of x x^T (groups x columns x columns), ``mean`` that of x (groups x columns),
    ``target`` that of y x^T (groups x rows x columns), ``output_mean`` that of y (groups x rows), without the
    layer's bias, and ``energy`` that of |y|^2 over all groups. In float64 on the CPU.
    """

    second: Tensor
    mean: Tensor
    target: Tensor
    output_mean: Tensor
    energy: float

    @classmethod
    def of_dense_inputs(cls, matrix: Tensor, moment: Moment) -> "FitMoments":
        """Return the moments where the inputs are the dense network's own: y = W x."""
        target = matrix @ moment.second
        output_mean = (matrix @ moment.mean.unsqueeze(-1)).squeeze(-1)
        return cls(moment.second, moment.mean, target, output_mean, float((target * matrix).sum()))

    def check_finite(self, layer: str) -> None:
        """Raise PrunerError, which names the layer, where its inputs or outputs were not finite."""
        check_finite_fit(layer, self.second, self.target)

    def centred(self) -> "FitMoments":
        """Return the moments about the means, which a bias takes care of."""
        second, target = about_means(self.second, self.target, self.mean, self.output_mean)
        energy = variance(self.energy, self.output_mean)
        return FitMoments(second, self.mean, target, self.output_mean, energy)


def about_means(second: Tensor, target: Tensor, mean: Tensor, output_mean: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means of x x^T and y x^T (groups x n x n, groups x rows x n) about those of x and y.

    Both are 0 for a group whose x does not vary, by more than rounding: where there was but one image, say.
    What rounding leaves is no direction to fit anything to.
    """
    centred = torch.baddbmm(second, mean.unsqueeze(-1), mean.unsqueeze(-2), alpha=-1)
    crossed = torch.baddbmm(target, output_mean.unsqueeze(-1), mean.unsqueeze(-2), alpha=-1)
    spread, size = (moment.diagonal(dim1=-2, dim2=-1).sum(-1) for moment in (centred, second))
    constant = ~(spread > _ROUNDING * size)
    centred[constant], crossed[constant] = 0.0, 0.0
    return centred, crossed


def variance(square: float, mean: Tensor) -> float:
    """Return a mean square about the mean; 0 where that is rounding."""
    about = square - float(mean.square().sum())
    return about if about > _ROUNDING * square else 0.0


def check_finite_fit(layer: str, *moments: Tensor) -> None:
    """Raise PrunerError, which names the layer, where moments of its inputs and outputs are not finite."""
    if not all(bool(moment.isfinite().all()) for moment in moments):
        raise PrunerError(
            f"Layer {layer!r}: its inputs or outputs on the calibration images are not finite, in the dense "
            "or in the compressed network."
        )


def mirrored(upper: Tensor) -> Tensor:
    """Complete symmetric matrices (groups, n, n) by what is on and above their diagonal, in place."""
    for start in range(0, upper.shape[-1], _ROWS):
        stop = start + _ROWS
        corner = upper[:, start:stop, start:stop].triu()
        upper[:, start:stop, start:stop] = corner + corner.triu(1).mT
        upper[:, stop:, start:stop] = upper[:, start:stop, stop:].mT
    return upper
