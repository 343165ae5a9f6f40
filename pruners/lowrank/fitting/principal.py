"""PCA of a layer's outputs: the directions in which they vary, and the factors that keep these."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pruners.calibration.calibration import Calibration
from pruners.calibration.layer_calls import LayerCall, layer_calls
from pruners.lowrank.decompose import pair_bias_name
from pruners.lowrank.fitting.factor_tensors import factor_tensors
from pruners.lowrank.fitting.layer_factors import balanced
from pruners.lowrank.fitting.output_fit import mean_diagonal
from pruners.lowrank.layers.shapes import compressible_modules
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.network.layer_names import named_modules

_UNSEEN = 1e-12  # share of white inputs, so that outputs that do not vary are kept as the weight has them


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """The principal components of a layer's outputs W x, W its folded weight (groups x rows x columns).

    ``vectors`` (groups x rows x rows) are the eigenvectors of W S W^T, S the second moment of the inputs,
    about their mean where the layer can take a bias for it. ``energies`` holds what rank 1, 2, ... adds to
    the explained variance, over all groups, descending, and ``total`` is the variance.
    """

    vectors: Tensor
    energies: NDArray[np.float64]
    total: float

    @classmethod
    def of(cls, matrix: Tensor, second: Tensor) -> "PrincipalComponents":
        """Decompose the outputs' second moment, given the weight and the moment of its inputs."""
        moment = matrix @ second @ matrix.mT
        white = _UNSEEN * mean_diagonal(second)[:, None, None] * (matrix @ matrix.mT)
        _, vectors = torch.linalg.eigh((moment + moment.mT) / 2 + white)
        vectors = vectors.flip(-1)
        explained = ((moment @ vectors) * vectors).sum(-2).clamp_min(0).sum(0).numpy()
        total = float(moment.diagonal(dim1=-2, dim2=-1).sum())
        return cls(vectors, np.minimum.accumulate(explained), total)

    def errors(self) -> NDArray[np.float64]:
        """Return the relative error of the outputs at rank 1, 2, ..., 0 for a layer whose outputs are 0."""
        if not self.total > 0:
            return np.zeros(len(self.energies))
        left = self.total - np.cumsum(self.energies)
        return np.sqrt(np.maximum(left, 0.0) / self.total)

    def factors(self, matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
        """Return U and U^T W in one subspace, U the first ``rank`` vectors, their scales evenly split.

        The left factors are groups x 1 x rows x rank, the right ones groups x 1 x rank x columns.
        """
        kept = self.vectors[..., :rank]
        right, left = balanced((kept.mT @ matrix).mT, kept.mT)
        return left.mT.unsqueeze(1), right.mT.unsqueeze(1)


def principal_tensors(
    network: nn.Module,
    spectra: Spectra,
    ranks: Mapping[str, int],
    calibration: Calibration,
    components: Mapping[str, PrincipalComponents],
) -> dict[str, Tensor]:
    """Return the tensors of a network whose layers' outputs are projected on their principal components.

    By their names in the small network. With W' = U U^T W a layer's outputs lack (W - W') m on average, m the
    mean of its inputs: its bias takes care of that, or the mean of the BatchNorm that its outputs go into.
    """
    names = {module: name for name, module in named_modules(network)}
    modules = compressible_modules(network)
    calls = layer_calls(network, {name: modules[name] for name in ranks}, calibration.batches[0])
    moments = calibration.moments(ranks)
    tensors: dict[str, Tensor] = {}
    for name, rank in ranks.items():
        layer = spectra.layers[name]
        left, right = components[name].factors(layer.matrix, rank)
        tensors |= factor_tensors(layer, left, right)
        lost = layer.matrix - (left @ right)[:, 0]
        shift = (lost @ moments[name].mean.unsqueeze(-1)).flatten()
        tensors |= _shifted(name, calls[name], shift, names)
    return tensors


def _shifted(name: str, call: LayerCall, shift: Tensor, names: Mapping[nn.Module, str]) -> dict[str, Tensor]:
    """Return a layer's bias with what its outputs lack, or the means of the BatchNorms behind it without."""
    if call.bias is not None:
        return {pair_bias_name(name): _sum(call.bias, shift)}
    return {
        f"{names[norm]}.running_mean": _sum(norm.running_mean, -shift)
        for norm in call.norms
        if norm.running_mean is not None
    }


def _sum(tensor: Tensor, shift: Tensor) -> Tensor:
    return (tensor.detach().to("cpu", torch.float64) + shift).to(tensor.dtype)
