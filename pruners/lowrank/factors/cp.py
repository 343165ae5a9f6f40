"""CP: a kernel as a sum of products of four vectors, one for each of its sides."""

from dataclasses import dataclass
from typing import final

import torch
from tensorly.decomposition import parafac
from torch import Tensor

from pruners.lowrank.factors.tensor_factoring import TensorFactoring
from pruners.lowrank.layers.cut import Cut

_TOLERANCE = 1e-5
_RIDGE = 1e-10


@final
@dataclass(frozen=True)
class CPFactoring(TensorFactoring):
    """CP by alternating least squares with line search, from the SVDs of the kernel's unfoldings.

    Columns beyond those of an SVD are drawn by ``seed``. At most ``iterations`` rounds, fewer where the
    relative error falls by less than 1e-5. The ridge, 1e-10 of the kernel's energy, keeps products that
    cancel each other from growing without bound.
    """

    iterations: int
    seed: int

    def kernel_weights(self, kernel: Tensor, cut: Cut) -> tuple[Tensor, ...]:
        """Return the vectors of input channels, of the kernel's height and width, and of output channels.

        The four of a product have the same norm, so that gradient descent moves them alike.
        """
        norm = torch.linalg.vector_norm(kernel)
        _, factors = parafac(
            kernel / norm,
            cut.rank,
            n_iter_max=self.iterations,
            tol=_TOLERANCE,
            random_state=self.seed,
            l2_reg=_RIDGE,
            linesearch=True,
        )
        norms = [torch.linalg.vector_norm(factor, dim=0) for factor in factors]
        size = (norm * torch.stack(norms).prod(dim=0)) ** 0.25
        outputs, inputs, height, width = (
            factor * torch.where(length > 0, size / length, 0.0)
            for factor, length in zip(factors, norms, strict=True)
        )
        return (
            inputs.mT[..., None, None],
            height.mT[:, None, :, None],
            width.mT[:, None, None, :],
            outputs[..., None, None],
        )
