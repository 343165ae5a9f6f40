"""Tucker-2: every layer keeps the same share of its energy, in its output and in its input channels."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from pruners.lowrank.factors.factoring import Factoring
from pruners.lowrank.factors.tucker import TuckerFactoring
from pruners.lowrank.layers.cut import DECODE, TUCKER, Cut
from pruners.lowrank.layers.shapes import LayerShape
from pruners.lowrank.methods.common_share import cuts_at_largest_share, energy_shares
from pruners.lowrank.methods.rank_method import AllocationProblem
from pruners.lowrank.methods.tensor_method import TensorMethod, free_layers
from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.metrics import Floats


@final
class Tucker(TensorMethod):
    """A convolution as three, 1 x 1 to r2 channels, k1 x k2 to r1, 1 x 1 to all: Tucker-2 of its kernel.

    Kim et al., Compression of Deep Convolutional Neural Networks for Fast and Low Power Mobile Applications,
    ICLR 2016, arXiv 1511.06530, section 3.1. r1 and r2 are the smallest ranks that hold a given share of the
    squared singular values of the kernel's two unfoldings, f x (c k1 k2) and c x (f k1 k2), at most as many
    as the other can feed; the paper takes them from variational Bayesian matrix factorisation, which knows no
    budget. The share is the same for every layer and the largest that meets the budget; a layer that would
    save nothing stays dense. A 1 x 1 kernel or Linear becomes two layers, of the smallest rank that holds the
    share.
    """

    name = "tucker"
    title = "Tucker-2: three convolutions for one, the same share of energy in every layer"
    paper = "Kim et al., ICLR 2016, arXiv 1511.06530"

    def factoring(self, options: Mapping[str, Any], seed: int) -> Factoring:
        """Return higher-order orthogonal iteration."""
        return TuckerFactoring()

    def cheapest(self, shape: LayerShape) -> Cut:
        """Return rank 1, of both kinds of channels."""
        return _cut(shape, 1, 1)

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        """Choose the ranks at the largest share of energy that meets the budget.

        Exact: the ranks change only where one layer's share of energy at some rank is reached.
        """
        layers = free_layers(problem, options)
        held = {
            name: (
                _held(problem.spectra.layers[name]),
                _held(problem.spectra.layers[name].folded(DECODE)),
            )
            for name in layers
        }
        shares = np.unique(np.concatenate([np.ones(1), *(s for both in held.values() for s in both)]))

        def cuts(share: float) -> dict[str, Cut]:
            ranks = {n: [int(np.searchsorted(h, share)) + 1 for h in both] for n, both in held.items()}
            return {name: _cut(layers[name], *both) for name, both in ranks.items()}

        return cuts_at_largest_share(problem, shares.tolist(), cuts)


def _held(layer: LayerSpectra) -> Floats:
    """Return the share of the energy that rank 1, 2, ... of a folding holds."""
    return energy_shares(np.square(layer.singular_values(1)).sum(axis=(0, 1)))


def _cut(shape: LayerShape, rank: int, in_rank: int) -> Cut:
    height, width = shape.kernel
    if height * width == 1:
        return Cut(rank, 1)
    return Cut(min(rank, in_rank * height * width), 1, TUCKER, min(in_rank, rank * height * width))
