"""Second moments of layers' inputs, all of them from one pass over the calibration images."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pruners.calibration.columns import Layer, layer_columns
from pruners.calibration.moment import Moment
from pruners.errors import PrunerError
from pruners.network.counting.multiply_adds import as_defined
from pruners.network.forward_pass import evaluating, naming_refusals
from pruners.network.inputs import Inputs, forward
from pruners.network.layer_names import unwrapped

_ELEMENTS = 2**24  # of columns that are there at once


class ColumnSum:
    """Sums of a layer's columns and of their outer products, in float64 on the network's device."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        groups = 1 if isinstance(layer, nn.Linear) else layer.groups
        n = layer.weight[0].numel()
        self.second = torch.zeros(groups, n, n, dtype=torch.float64, device=layer.weight.device)
        self.first = torch.zeros(groups, n, dtype=torch.float64, device=layer.weight.device)
        self.columns = 0

    def add(self, inputs: Tensor) -> None:
        """Add the columns of one call's inputs."""
        layer = self.layer
        inputs = inputs.detach()
        if isinstance(layer, nn.Linear):
            inputs = inputs.reshape(-1, inputs.shape[-1])
        elif inputs.dim() == len(layer.kernel_size) + 1:
            inputs = inputs[None]
        for part in inputs.split(max(1, _ELEMENTS * len(inputs) // max(1, self._elements(inputs)))):
            columns = layer_columns(layer, part)
            if columns.dtype not in (torch.float32, torch.float64):
                columns = columns.float()
            self.second += columns @ columns.mT
            self.first += columns.sum(-1, dtype=torch.float64)
            self.columns += columns.shape[-1]

    def _elements(self, inputs: Tensor) -> int:
        return inputs.numel() * (1 if isinstance(self.layer, nn.Linear) else self.layer.weight[0, 0].numel())

    def moment(self) -> Moment:
        """Divide the sums by the number of columns."""
        # a product may differ from its transpose in the last bit
        second = (self.second.triu() + self.second.triu(1).mT) / self.columns
        return Moment(second.cpu(), (self.first / self.columns).cpu(), self.columns)


def input_moments(
    model: nn.Module, layers: Mapping[str, Layer], batches: Sequence[Inputs]
) -> dict[str, Moment]:
    """Compute the input moments of ``layers`` in one forward pass over batches, in eval mode.

    A layer that is called several times in a pass has the columns of all its calls. Columns are in the
    network's dtype (float32 for shorter ones), as are products within one batch; sums over batches are in
    float64. A layer that is not called gets no moment. Raises PrunerError, which names the layer, for inputs
    that are not finite.
    """
    sums = {name: ColumnSum(layer) for name, layer in layers.items()}
    handles = [layer.register_forward_pre_hook(_adding(sums[name])) for name, layer in layers.items()]
    try:
        with evaluating(model), as_defined():
            for batch in batches:
                with naming_refusals(model, "The network cannot be run on the calibration images"):
                    forward(unwrapped(model), batch)
    finally:
        for handle in handles:
            handle.remove()
    moments = {name: total.moment() for name, total in sums.items() if total.columns}
    for name, moment in moments.items():
        if not moment.second.isfinite().all():
            raise PrunerError(f"Layer {name!r}: its inputs on the calibration images are not finite.")
    return moments


def _adding(total: ColumnSum) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def add(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        total.add(inputs[0])

    return add
