"""A kernel folded to a matrix: by other sides of it than the usual ones."""

from torch import Tensor

from pruners.lowrank.layers.cut import DECODE, ENCODE, FOLDINGS
from pruners.lowrank.layers.shapes import LayerShape
from pruners.lowrank.layers.steps import SPANS

BEST = "best"
"""In place of a folding: of every layer the one whose error is least at its cost."""


def foldings_of(shape: LayerShape, folding: str) -> tuple[str, ...]:
    """Return the foldings that a layer is looked at in: the given one, or all that differ for `BEST`.

    A 1 x 1 kernel or Linear has the usual one alone, in which all coincide.
    """
    if shape.kernel == (1, 1):
        return (ENCODE,)
    if folding != BEST:
        return (folding,)
    return FOLDINGS if 1 not in shape.kernel else (ENCODE, DECODE)


def folded_shape(shape: LayerShape, form: str) -> LayerShape:
    """Return the shape of the layer whose usual folding is this layer's in a given form.

    Its rows are the output channels with those sides of the kernel that the second of the two layers spans,
    its columns the input channels with those that the first does.
    """
    first, second = SPANS[form]
    height, width = shape.kernel
    rows = (height if second[0] else 1) * (width if second[1] else 1)
    kernel = (height if first[0] else 1, width if first[1] else 1)
    return LayerShape(shape.out_channels * rows, shape.in_channels, kernel, shape.groups)


def folded_weight(weight: Tensor, form: str) -> Tensor:
    """Return the weight of that layer from this one's, filters x channels x height x width."""
    _, second = SPANS[form]
    to_rows = [2 + side for side in (0, 1) if second[side]]
    to_columns = [2 + side for side in (0, 1) if not second[side]]
    rows = weight.permute(0, *to_rows, 1, *to_columns).flatten(0, len(to_rows))
    kernel = [1 if second[side] else weight.shape[2 + side] for side in (0, 1)]
    return rows.reshape(len(rows), weight.shape[1], *kernel)


def unfolded_rows(second: Tensor, shape: LayerShape, form: str) -> Tensor:
    """Return the second layer's weight, filters x channels x its kernel, from the left factors' rows.

    ``second`` is rows x channels, its rows as `folded_weight` has them.
    """
    _, spans = SPANS[form]
    kernel = [side if spanned else 1 for side, spanned in zip(shape.kernel, spans, strict=True)]
    return second.reshape(shape.out_channels, *kernel, second.shape[1]).permute(0, 3, 1, 2)
