"""CP: every layer keeps the same share of the full rank of its kernel as a tensor."""

from collections.abc import Mapping
from fractions import Fraction
from math import prod
from typing import Any, final

from pruners.lowrank.factors.cp import CPFactoring
from pruners.lowrank.factors.factoring import Factoring
from pruners.lowrank.layers.cut import CP as CP_FORM
from pruners.lowrank.layers.cut import Cut
from pruners.lowrank.layers.shapes import LayerShape
from pruners.lowrank.methods.common_share import cuts_at_largest_share
from pruners.lowrank.methods.rank_method import EXCLUDE, AllocationProblem
from pruners.lowrank.methods.tensor_method import TensorMethod, free_layers
from pruners.method import Option
from pruners.option_values import Whole


@final
class CP(TensorMethod):
    """A convolution as four: 1 x 1 to R channels, k1 x 1 and 1 x k2 on each of these, 1 x 1 to all.

    The kernel becomes a sum of R products of four vectors (Lebedev et al., Speeding-up Convolutional Neural
    Networks Using Fine-tuned CP-Decomposition, ICLR 2015, arXiv 1412.6553, section 3). Which R is best
    nobody knows without decomposing, so all layers keep one share of their full rank: R = floor(share * full
    rank), at least 1. Full is the rank that any kernel of its shape can be written with, the product of its
    sides but the longest; of a 1 x 1 kernel or Linear, which becomes two layers, the rank of its matrix. The
    share is the largest that meets the budget; a layer that would save nothing stays dense.

    Alternating least squares is slow where R is large (each round takes f c k1 k2 R multiplications, and
    a system of R equations), finds a local optimum only, and the less R is the worse conditioned: the error
    of each layer is told as it is reached.
    """

    name = "cp"
    title = "CP: four convolutions for one, the same share of the full rank in every layer"
    paper = "Lebedev et al., ICLR 2015, arXiv 1412.6553"
    options = (
        EXCLUDE,
        Option("iterations", 50, "most rounds of alternating least squares in a layer", Whole(1, 2**31)),
    )

    def factoring(self, options: Mapping[str, Any], seed: int) -> Factoring:
        """Return alternating least squares."""
        return CPFactoring(options["iterations"], seed)

    def cheapest(self, shape: LayerShape) -> Cut:
        """Return a single product."""
        return _cut(shape, 1)

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        """Choose the ranks at the largest share of the full ranks that meets the budget.

        Exact: the ranks change at fractions only, and these are compared as fractions.
        """
        layers = free_layers(problem, options)
        full = {name: _full_rank(layer) for name, layer in layers.items()}
        shares = sorted(
            {Fraction(rank, most) for most in set(full.values()) for rank in range(1, most + 1)}
            | {Fraction(1)}
        )

        def cuts(share: Fraction) -> dict[str, Cut]:
            return {name: _cut(layers[name], max(1, int(share * most))) for name, most in full.items()}

        return cuts_at_largest_share(problem, shares, cuts)


def _cut(shape: LayerShape, rank: int) -> Cut:
    return Cut(rank, 1) if shape.kernel == (1, 1) else Cut(rank, 1, CP_FORM)


def _full_rank(shape: LayerShape) -> int:
    sides = (shape.out_channels // shape.groups, shape.in_channels // shape.groups, *shape.kernel)
    return prod(sides) // max(sides)
