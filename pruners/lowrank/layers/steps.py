"""The thinner layers that stand for one, in sequence: their channels, groups and sides of the kernel."""

from collections.abc import Iterator
from dataclasses import dataclass

from pruners.lowrank.layers.cut import CLUSTERINGS, CP, DECODE, DENSE, ENCODE, SPLIT1, SPLIT2, TUCKER, Cut
from pruners.lowrank.layers.shapes import LayerShape

_BOTH, _FIRST, _SECOND, _NEITHER = (True, True), (True, False), (False, True), (False, False)

SPANS = {
    ENCODE: (_BOTH, _NEITHER),
    DECODE: (_NEITHER, _BOTH),
    SPLIT1: (_SECOND, _FIRST),
    SPLIT2: (_FIRST, _SECOND),
    TUCKER: (_NEITHER, _BOTH, _NEITHER),
    CP: (_NEITHER, _FIRST, _SECOND, _NEITHER),
    **dict.fromkeys(CLUSTERINGS, (_BOTH, _NEITHER)),
}
"""Which sides of the kernel each of a form's layers spans; stride, padding and dilation go with the side."""


@dataclass(frozen=True)
class Step:
    """One of the layers that stand for a dense one: a convolution, or for a Linear another Linear."""

    out_channels: int
    in_channels: int
    groups: int
    spans: tuple[bool, bool]
    kernel: tuple[int, int]

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Return the shape of its weight, as a convolution's."""
        return self.out_channels, self.in_channels // self.groups, *self.kernel

    @property
    def params(self) -> int:
        """Count its weights."""
        filters, channels, height, width = self.weight_shape
        return filters * channels * height * width


def steps_of(shape: LayerShape, cut: Cut) -> tuple[Step, ...]:
    """Return the layers that stand for one of this shape, in their order.

    Groups are decomposed each by itself, all with the same ranks.
    """
    channels, steps = shape.in_channels, []
    for (width, groups), spans in zip(_widths(shape, cut), SPANS[cut.form], strict=True):
        kernel = tuple(side if spanned else 1 for side, spanned in zip(shape.kernel, spans, strict=True))
        steps.append(Step(width, channels, groups, spans, (kernel[0], kernel[1])))
        channels = width
    return tuple(steps)


def _widths(shape: LayerShape, cut: Cut) -> Iterator[tuple[int, int]]:
    """Yield each step's output channels and groups."""
    if cut.form == TUCKER:
        yield shape.groups * cut.in_rank, shape.groups
        yield shape.groups * cut.rank, shape.groups
    elif cut.form == CP:
        products = shape.groups * cut.rank
        yield from ((products, shape.groups), (products, products), (products, products))
    else:
        slices = shape.groups * cut.num_subspaces
        yield slices * cut.rank, slices
    yield shape.out_channels, shape.groups


def params_of(shape: LayerShape, cut: Cut) -> int:
    """Count the weights that a layer has as this cut, or dense."""
    return shape.params if cut == DENSE else sum(step.params for step in steps_of(shape, cut))


def saves(shape: LayerShape, cut: Cut) -> bool:
    """Tell whether the layer has fewer weights as this cut than dense."""
    return params_of(shape, cut) < shape.params
