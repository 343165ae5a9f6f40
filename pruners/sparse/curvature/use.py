"""One use of a weight in a forward pass: what went in and what came back, sample by sample."""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import pad

_ELEMENTS = 2**22  # of the largest tensor that one chunk of samples makes


@dataclass(frozen=True)
class Sliding:
    """How a convolution moves over its input; ``padding`` is before and after each dimension, last first."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    transposed: bool = False


@dataclass(frozen=True)
class Use:
    """One product with a weight: its ``inputs`` (n, ...), and ``gradients`` (n, ...).

    The latter are of each sample's loss in the product. ``sliding`` is a convolution's; without it the
    features in the last dimension go through a Linear. A packed weight is ``parts`` Linears, one above
    the other (an attention's query, key and value), and the use may be of some only, from the ``first``
    on.
    """

    weight: Tensor
    inputs: Tensor
    gradients: Tensor
    sliding: Sliding | None = None
    parts: int = 1
    first: int = 0

    @property
    def groups(self) -> int:
        """Count the blocks of rows that are independent: a convolution's groups, or the parts."""
        return self.sliding.groups if self.sliding else self.parts

    @property
    def samples(self) -> int:
        """Count the samples that the use was for."""
        return len(self.inputs)

    @property
    def positions(self) -> int:
        """Count how often a sample uses each weight: at output positions of a convolution, steps of a Linear.

        At a transposed convolution's input positions.
        """
        if self.sliding:
            return (self.inputs if self.sliding.transposed else self.gradients)[0, 0].numel()
        return self.gradients[0, ..., 0].numel()

    @property
    def used_groups(self) -> slice:
        """Return the groups of the weight that this use is of."""
        if self.sliding:
            return slice(0, self.groups)
        return slice(self.first, self.first + self.gradients.shape[-1] * self.parts // len(self.weight))

    def chunks(self, extra: int = 0) -> list[tuple[int, int]]:
        """Cut the samples into ranges that take `factors` (and ``extra`` elements each) little memory."""
        size = max(1, _ELEMENTS // max(1, extra + self.groups * self.weight[0].numel() * self.positions))
        return [(start, min(start + size, self.samples)) for start in range(0, self.samples, size)]

    def factors(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return the rows and the columns whose products are the gradients of some samples.

        Their shapes are (used groups, rows, n, positions) and (used groups, columns, n, positions). The
        gradient of a sample's loss in the weight, of shape (groups, rows, columns) once reshaped, is the
        sum over its positions of the outer products of both. Rows are output gradients and columns
        patches of the input; in a transposed convolution, whose weight lies the other way round, rows are
        inputs and columns patches of the output gradient.
        """
        inputs, gradients = self.inputs[start:stop], self.gradients[start:stop]
        if self.sliding is None:
            used = self.used_groups.stop - self.used_groups.start
            columns = _features(inputs)
            return _features(gradients).unflatten(0, (used, -1)), columns.expand(used, *columns.shape)
        rows, maps = (inputs, gradients) if self.sliding.transposed else (gradients, inputs)
        columns = _patches(maps, self.sliding, self.weight.shape[2:], rows.shape[2:])
        return rows.movedim(0, 1).reshape(self.groups, -1, len(rows), self.positions), columns.unflatten(
            0, (self.groups, -1)
        )

    def sample_gradients(self, start: int, stop: int) -> Tensor:
        """Compute the gradients of the samples' losses, (n, groups, rows, columns); zero in unused groups."""
        rows, columns = self.factors(start, stop)
        gradients = rows.permute(2, 0, 1, 3) @ columns.permute(2, 0, 3, 1)
        if gradients.shape[1] == self.groups:
            return gradients
        whole = gradients.new_zeros(len(gradients), self.groups, *gradients.shape[2:])
        whole[:, self.used_groups] = gradients
        return whole


def _features(values: Tensor) -> Tensor:
    """Arrange (n, ..., features) as (features, n, positions)."""
    return values.reshape(len(values), -1, values.shape[-1]).permute(2, 0, 1)


def _patches(maps: Tensor, sliding: Sliding, kernel: torch.Size, positions: torch.Size) -> Tensor:
    """Cut maps (n, channels, ...) into what the kernel sees: (channels * kernel, n, positions)."""
    maps = pad(maps, sliding.padding)
    samples, channels = maps.shape[:2]
    of_sample, of_channel, *along = maps.stride()
    in_kernel = [step * dilation for step, dilation in zip(along, sliding.dilation, strict=True)]
    between = [step * stride for step, stride in zip(along, sliding.stride, strict=True)]
    sizes, strides = (channels, *kernel, samples, *positions), (of_channel, *in_kernel, of_sample, *between)
    return maps.as_strided(sizes, strides).reshape(-1, samples, prod(positions))
