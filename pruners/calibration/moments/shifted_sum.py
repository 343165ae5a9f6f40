"""Sums over a convolution's columns by their shift structure, from a fraction of the products."""

from collections.abc import Iterator
from itertools import combinations_with_replacement, product

import torch
from torch import Tensor, nn

from pruners.calibration.moments.columns import Layer, computable, padded, padding_around
from pruners.calibration.moments.moment import mirrored

_ELEMENTS = 2**23  # of maps that are arranged at once

Line = int | None
"""A row or column of maps, counted from the end where it is negative; None: all of them."""
Pair = tuple[int, int]


def has_shift_structure(layer: nn.Module, inputs: Tensor) -> bool:
    """Tell whether `ShiftedSum` can sum over a layer's inputs (N, channels, H, W).

    The layer is a Conv2d with stride 1, one group and a kernel of more than one value; the maps are larger
    than both borders together.
    """
    if not isinstance(layer, nn.Conv2d) or layer.groups > 1 or any(step > 1 for step in layer.stride):
        return False
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    return any(reach) and all(side > 2 * r for side, r in zip(inputs.shape[-2:], reach, strict=True))


class ShiftedSum:
    """Sums of the columns of a Conv2d with stride 1 and one group, and of their outer products.

    The entries of an outer product that belong to kernel offsets a and b are products of input values whose
    places differ by b - a. Summed over all output positions they are the same for all pairs of offsets with
    this difference, but for border lines that some offsets do not reach. So one product (channels x channels)
    is made for each difference (13 for the 45 pairs of a 3 x 3 kernel), and one along each such border row,
    border column and where these cross; `second` puts them together. Sums are in float64 on the network's
    device. Exact where `has_shift_structure`.
    """

    def __init__(self, layer: Layer) -> None:
        assert isinstance(layer, nn.Conv2d)
        self.layer = layer
        self.columns = 0
        self._offsets: list[Pair] = list(product(range(layer.kernel_size[0]), range(layer.kernel_size[1])))
        self._reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        *columns_around, rows_before, rows_after = padding_around(layer)
        implicit = layer.padding_mode == "zeros"
        self._around = [(rows_before, rows_after), tuple(columns_around)] if implicit else [(0, 0), (0, 0)]
        self._products: dict[tuple[Line, Line, Pair], Tensor] = {}
        self._sums: dict[tuple[Line, Line], Tensor] = {}
        channels, device = layer.in_channels, layer.weight.device
        for a, b in combinations_with_replacement(self._offsets, 2):
            for _, row, column in self._terms(a, self._shift(a, b)):
                key = (row, column, self._shift(a, b))
                if key not in self._products:
                    self._products[key] = torch.zeros(channels, channels, dtype=torch.float64, device=device)
        for a in self._offsets:
            for _, row, column in self._terms(a, (0, 0)):
                self._sums[row, column] = torch.zeros(channels, dtype=torch.float64, device=device)

    def add(self, maps: Tensor) -> None:
        """Add the columns of one call's inputs (N, channels, H, W)."""
        if self.layer.padding_mode != "zeros":
            maps = padded(self.layer, maps)
        sides = [
            side + sum(around) - reach
            for side, around, reach in zip(maps.shape[-2:], self._around, self._reach, strict=True)
        ]
        self.columns += len(maps) * sides[0] * sides[1]
        for part in maps.split(max(1, _ELEMENTS // max(1, maps[0].numel()))):
            self._add(computable(part))

    def _add(self, maps: Tensor) -> None:
        samples, channels, height, width = maps.shape
        # a row of all maps, then the next row: values shifted down run off the end. Zeros after each row of a
        # map keep those shifted right from meeting their neighbours
        arranged = maps.new_zeros(height, samples, width + self._reach[1], channels)
        arranged[:, :, :width] = maps.permute(2, 0, 3, 1)

        def along(row: Line, column: Line) -> Tensor:
            """The values of these rows and columns, (their number, channels)."""
            part = arranged if row is None else arranged[row]
            return (part if column is None else part[..., column, :]).reshape(-1, channels)

        for (row, column), total in self._sums.items():
            total += along(_index(row, height), _index(column, width)).sum(0).double()
        for (row, column, (down, right)), total in self._products.items():
            row, column = _index(row, height), _index(column, width)
            some = along(row, column)
            others = along(None if row is None else row + down, None if column is None else column + right)
            step = (right if column is None else 0) + (
                0 if row is not None else down * samples * (arranged.shape[2] if column is None else 1)
            )
            ahead, behind = max(step, 0), max(-step, 0)
            total += some[behind : len(some) - ahead].T @ others[ahead : len(others) - behind]

    def second(self) -> Tensor:
        """Return the sum of the columns' outer products, (1, n, n)."""
        number, channels = len(self._offsets), self.layer.in_channels
        blocks = self._sums[None, None].new_empty(number, number, channels, channels)
        for (i, a), (j, b) in combinations_with_replacement(enumerate(self._offsets), 2):
            shift = self._shift(a, b)
            blocks[i, j] = 0
            for sign, row, column in self._terms(a, shift):
                blocks[i, j].add_(self._products[row, column, shift], alpha=sign)
            if i == j:
                mirrored(blocks[i, j, None])  # a product may differ from its transpose in the last bit
            else:
                blocks[j, i] = blocks[i, j].T
        return blocks.permute(2, 0, 3, 1).reshape(1, channels * number, channels * number)

    def first(self) -> Tensor:
        """Return the sum of the columns, (1, n)."""
        parts = []
        for offset in self._offsets:
            part = torch.zeros_like(self._sums[None, None])
            for sign, row, column in self._terms(offset, (0, 0)):
                part.add_(self._sums[row, column], alpha=sign)
            parts.append(part)
        return torch.stack(parts, dim=1).reshape(1, -1)

    def _shift(self, a: Pair, b: Pair) -> Pair:
        """How far the value at offset ``b`` is from that at ``a``."""
        return (b[0] - a[0]) * self.layer.dilation[0], (b[1] - a[1]) * self.layer.dilation[1]

    def _terms(self, offset: Pair, shift: Pair) -> Iterator[tuple[int, Line, Line]]:
        """The products along lines, with their signs, that make up one offset's with those ``shift`` away.

        All of the map but the border rows that the offset does not reach and the columns, and twice left
        out where these cross. Lines whose shifted values are outside of the map have none.
        """
        rows, columns = (self._left_out(axis, offset[axis], shift[axis]) for axis in (0, 1))
        yield 1, None, None
        yield from ((-1, row, None) for row in rows)
        yield from ((-1, None, column) for column in columns)
        yield from ((1, row, column) for row, column in product(rows, columns))

    def _left_out(self, axis: int, offset: int, shift: int) -> list[int]:
        """The rows or columns that no output position sees at an offset, and whose shifted ones are there."""
        before, after = self._around[axis]
        seen_from = offset * self.layer.dilation[axis]
        lines = [*range(seen_from - before), *range(after + seen_from - self._reach[axis], 0)]
        return [line for line in lines if (line >= 0) == (line + shift >= 0)]


def _index(line: Line, size: int) -> Line:
    return None if line is None else line % size
