"""Second moments of layers' inputs, all of them from one pass over the calibration images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pruners.calibration.batches import parts
from pruners.calibration.moments.column_sum import ColumnSum
from pruners.calibration.moments.columns import Layer, computable, products_with_columns
from pruners.calibration.moments.moment import FitMoments, Moment
from pruners.calibration.moments.shifted_sum import ShiftedSum, has_shift_structure
from pruners.errors import PrunerError
from pruners.network.counting.multiply_adds import as_defined
from pruners.network.forward_pass import REFUSED, evaluating, naming_refusals
from pruners.network.inputs import Inputs, forward_on_copy, layer_input
from pruners.network.layer_names import unwrapped

_ELEMENTS = 2**21  # of outputs that are multiplied at once in the network's dtype; sums are in float64


class LayerSums:
    """All columns of a layer: by their shift structure where it has one, and written out."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self._sums: dict[type[ColumnSum | ShiftedSum], ColumnSum | ShiftedSum] = {}

    def add(self, inputs: Tensor) -> None:
        """Add the columns of one call."""
        inputs = inputs.detach()
        if isinstance(self.layer, nn.Linear):
            inputs = inputs.reshape(-1, inputs.shape[-1])
        elif inputs.dim() == len(self.layer.kernel_size) + 1:
            inputs = inputs[None]
        if not len(inputs):
            return
        kind = ShiftedSum if has_shift_structure(self.layer, inputs) else ColumnSum
        if kind not in self._sums:
            self._sums[kind] = kind(self.layer)
        self._sums[kind].add(inputs)

    def moment(self) -> Moment | None:
        """Divide the sums by the number of columns; None where there is none."""
        kinds = [kind for kind in self._sums.values() if kind.columns]
        if not kinds:
            return None
        columns = sum(kind.columns for kind in kinds)
        second, *more = (kind.second() for kind in kinds)
        for other in more:
            second += other
        return Moment.of_sums(second, torch.stack([kind.first() for kind in kinds]).sum(0), columns)


def input_moments(
    model: nn.Module, layers: Mapping[str, Layer], batches: Sequence[Inputs]
) -> dict[str, Moment]:
    """Compute the input moments of ``layers`` in one forward pass over batches, in eval mode.

    Exact: all output positions of all images count, a layer that is called several times in a pass has the
    columns of all its calls. Products within one part of a batch are in the network's dtype (float32 for
    shorter ones), sums of these in float64: in float32 a moment is within about 3e-7 of that in float64
    (Frobenius norm). A layer that is not called gets no moment.

    Memory: a pass over one part, 64 MiB of columns, and 8 n^2 bytes for each group of each layer, n its
    inputs times kernel: 0.7 GB for ResNet-18, 1.0 GB for ResNet-50 and ViT-B/16, 5 GB for VGG-16's first
    Linear alone. The largest layer needs that twice.

    Raises PrunerError, which names the layer, for inputs that are not finite.
    """
    with summing_inputs(layers) as sums, evaluating(model), as_defined():
        for part in (part for batch in batches for part in parts(batch)):
            with naming_refusals(model, REFUSED):
                forward_on_copy(unwrapped(model), part)
    return moments_of_sums(sums)


@contextmanager
def summing_inputs(layers: Mapping[str, Layer]) -> Iterator[dict[str, LayerSums]]:
    """Sum up what ``layers`` are called with in the block."""
    sums = {name: LayerSums(layer) for name, layer in layers.items()}
    handles = [
        layer.register_forward_pre_hook(_adding(sums[name]), with_kwargs=True)
        for name, layer in layers.items()
    ]
    try:
        yield sums
    finally:
        for handle in handles:
            handle.remove()


def moments_of_sums(sums: dict[str, LayerSums]) -> dict[str, Moment]:
    """Turn each layer's sums into its moment, emptying ``sums``; a layer that was not called gets none.

    Raises PrunerError, which names the layer, for inputs that are not finite.
    """
    moments = {}
    for name in list(sums):
        moment = sums.pop(name).moment()
        if moment is None:
            continue
        moments[name] = moment
        # all squares are on the diagonal, and no product is larger than both
        if not moment.second.diagonal(dim1=-2, dim2=-1).isfinite().all():
            raise PrunerError(f"Layer {name!r}: its inputs on the calibration images are not finite.")
    return moments


def _adding(sums: LayerSums) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
    @torch.inference_mode(False)  # whatever the network does: sums are gone on with outside of its pass
    @torch.no_grad()
    def add(layer: nn.Module, inputs: tuple[Any, ...], by_name: dict[str, Any]) -> None:
        sums.add(layer_input(inputs, by_name))

    return add


def call_moments(layer: Layer, inputs: Tensor, outputs: Tensor) -> FitMoments | None:
    """Compute the moments of one call's inputs with outputs that are wanted of them; None where it is empty.

    ``outputs`` are those of the dense layer, with its bias, from whatever inputs.
    """
    sums = LayerSums(layer)
    sums.add(inputs)
    moment = sums.moment()
    if moment is None:
        return None
    groups, rows = len(moment.second), len(layer.weight) // len(moment.second)
    target = moment.second.new_zeros(groups, rows, moment.second.shape[-1])
    output_mean, energy = target.new_zeros(groups, rows), 0.0
    for given, wanted in _cut(layer, inputs.detach(), outputs.detach()):
        target += products_with_columns(layer, given, wanted).double().cpu()
        flat = wanted.transpose(0, 1).flatten(1)
        output_mean += flat.sum(-1, dtype=torch.float64).cpu().reshape(output_mean.shape)
        energy += float(flat.square().sum())
    number = moment.columns
    return FitMoments(moment.second, moment.mean, target / number, output_mean / number, energy / number)


def _cut(layer: Layer, inputs: Tensor, outputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a call into parts of inputs and of outputs without bias, (N, ...) both, in float32 or float64."""
    if isinstance(layer, nn.Linear):
        inputs, outputs = inputs.reshape(-1, inputs.shape[-1]), outputs.reshape(-1, outputs.shape[-1])
    elif inputs.dim() == len(layer.kernel_size) + 1:
        inputs, outputs = inputs[None], outputs[None]
    size = max(1, _ELEMENTS * len(outputs) // max(1, outputs.numel()))
    for given, wanted in zip(inputs.split(size), outputs.split(size), strict=True):
        given, wanted = computable(given), computable(wanted)
        if layer.bias is not None:
            wanted = wanted - layer.bias.detach().to(wanted.dtype).reshape(-1, *[1] * (wanted.dim() - 2))
        yield given, wanted
