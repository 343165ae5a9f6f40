"""What goes into a layer and what comes back to it, sample by sample: all that the curvature in its weight needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn.functional import pad
from torch.nn.modules.conv import _ConvNd

from pruners.inputs import Inputs, batch_size, forward
from pruners.sparse.gradients import differentiable

_ELEMENTS = 2**22  # of the largest tensor that one chunk of samples makes


@dataclass(frozen=True)
class Use:
    """One call of a convolution or Linear: ``inputs`` (n, ...) and ``gradients`` (n, ...), those of each sample's loss in its output."""

    layer: nn.Module
    inputs: Tensor
    gradients: Tensor

    @property
    def samples(self) -> int:
        """How many samples the call was for."""
        return len(self.inputs)

    @property
    def positions(self) -> int:
        """How often a sample uses each weight: at a convolution's output (transposed: input) positions, at the steps of a sequence."""
        weight, rows = self.layer.weight, self.inputs if _transposed(self.layer) else self.gradients
        assert isinstance(weight, Tensor)
        return rows[0].numel() // len(weight)

    def chunks(self, extra: int = 0) -> list[tuple[int, int]]:
        """Ranges of samples, of which `factors` (and ``extra`` elements a sample) take little memory."""
        weight, groups = self.layer.weight, getattr(self.layer, "groups", 1)
        assert isinstance(weight, Tensor)
        size = max(1, _ELEMENTS // max(1, extra + groups * weight[0].numel() * self.positions))
        return [(start, min(start + size, self.samples)) for start in range(0, self.samples, size)]

    def factors(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Rows (groups, rows, n, positions) and columns (groups, columns, n, positions) of samples ``start`` to ``stop``.

        The gradient of a sample's loss in the weight, of shape (groups, rows, columns) once reshaped, is the sum over its positions of
        the outer products of both. Rows are output gradients and columns patches of the input; in a transposed convolution, whose
        weight lies the other way round, rows are inputs and columns patches of the output gradient.
        """
        inputs, gradients = self.inputs[start:stop], self.gradients[start:stop]
        if not isinstance(self.layer, _ConvNd):
            return _features(gradients), _features(inputs)
        rows, maps = (inputs, gradients) if _transposed(self.layer) else (gradients, inputs)
        columns = _patches(maps, self.layer, rows.shape[2:])
        return rows.movedim(0, 1).reshape(self.layer.groups, -1, len(rows), self.positions), columns

    def sample_gradients(self, start: int, stop: int) -> Tensor:
        """Gradients of the samples' losses in the weight, (n, groups, rows, columns)."""
        rows, columns = self.factors(start, stop)
        return rows.permute(2, 0, 1, 3) @ columns.permute(2, 0, 3, 1)


def layer_uses(
    network: nn.Module, weights: Mapping[str, nn.Parameter], inputs: Inputs, objective: Callable[[Tensor], Tensor]
) -> dict[str, list[Use]]:
    """Every call, in one forward and one backward pass over a batch, of a convolution or Linear that has one of ``weights``.

    ``objective`` makes of the network's output the loss, a mean over samples; a layer that is not called gets an empty list.
    """
    names = {id(weight): name for name, weight in weights.items()}
    calls: list[tuple[str, nn.Module, Tensor, Any]] = []

    def note(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor) -> None:
        if output.requires_grad:
            # the edge, as the output itself may yet be changed in place
            calls.append((names[id(layer.weight)], layer, args[0] if args else kwargs["input"], get_gradient_edge(output)))

    layers = [module for module in network.modules() if isinstance(module, _ConvNd | nn.Linear) and id(module.weight) in names]
    handles = [layer.register_forward_hook(note, with_kwargs=True) for layer in layers]
    try:
        loss = differentiable(objective(forward(network, inputs)))
    finally:
        for handle in handles:
            handle.remove()
    edges = [edge for *_, edge in calls]
    gradients = torch.autograd.grad(loss * batch_size(inputs), edges, allow_unused=True) if edges else ()
    uses: dict[str, list[Use]] = {name: [] for name in weights}
    for (name, layer, given, _), gradient in zip(calls, gradients, strict=True):
        if gradient is not None:
            uses[name].append(Use(layer, given.detach(), gradient))
    return uses


def _transposed(layer: nn.Module) -> bool:
    return isinstance(layer, _ConvNd) and layer.transposed


def _features(values: Tensor) -> Tensor:
    """(n, ..., features) as (1, features, n, positions)."""
    return values.reshape(len(values), -1, values.shape[-1]).permute(2, 0, 1)[None]


def _patches(maps: Tensor, layer: _ConvNd, positions: torch.Size) -> Tensor:
    """What the kernel sees of maps (n, channels, ...) at each position, as (groups, channels / groups * kernel, n, positions)."""
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    maps = pad(maps, layer._reversed_padding_repeated_twice, mode=mode)
    samples, channels = maps.shape[:2]
    of_sample, of_channel, *along = maps.stride()
    in_kernel = [step * dilation for step, dilation in zip(along, layer.dilation, strict=True)]
    between = [step * stride for step, stride in zip(along, layer.stride, strict=True)]
    sizes, strides = (channels, *layer.kernel_size, samples, *positions), (of_channel, *in_kernel, of_sample, *between)
    return maps.as_strided(sizes, strides).reshape(layer.groups, -1, samples, prod(positions))
