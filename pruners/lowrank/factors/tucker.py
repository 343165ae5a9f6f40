"""Tucker-2: a kernel as a core between two matrices, of its output and of its input channels."""

from dataclasses import dataclass
from typing import final

import torch
from tensorly.decomposition import partial_tucker
from torch import Tensor

from pruners.lowrank.factors.tensor_factoring import TensorFactoring
from pruners.lowrank.layers.cut import Cut

_ROUNDS = 20
_TOLERANCE = 1e-5


@final
@dataclass(frozen=True)
class TuckerFactoring(TensorFactoring):
    """Tucker-2 by higher-order orthogonal iteration from the SVDs of both unfoldings: nothing is drawn.

    At most 20 rounds, fewer where the relative error falls by less than 1e-5.
    """

    def kernel_weights(self, kernel: Tensor, cut: Cut) -> tuple[Tensor, ...]:
        """Return the matrix of input channels, the core and the matrix of output channels.

        All three have the same spectral norm, so that gradient descent moves them alike.
        """
        (core, (outputs, inputs)), _ = partial_tucker(
            kernel, (cut.rank, cut.in_rank), modes=[0, 1], n_iter_max=_ROUNDS, tol=_TOLERANCE, random_state=0
        )
        root = torch.linalg.matrix_norm(core.flatten(1), 2) ** (1 / 3)
        return (inputs.mT * root)[..., None, None], core / root**2, (outputs * root)[..., None, None]
