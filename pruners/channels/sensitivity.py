"""Empirical sensitivity: the largest share of any output of a layer that one of its input channels has."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pruners.calibration.batches import parts
from pruners.calibration.moments.columns import Layer, computable, layer_columns
from pruners.errors import PrunerError
from pruners.network.counting.multiply_adds import as_defined
from pruners.network.forward_pass import REFUSED, evaluating, naming_refusals
from pruners.network.inputs import Inputs, forward_on_copy, layer_input
from pruners.network.layer_names import unwrapped

_POSITIONS, _SHARES = 1024, 2**21  # that are looked at at once


@dataclass
class Sensitivity:
    """What calls of a layer came to: the largest share of each of its input channels, on the CPU, and the
    most output positions that one sample has.
    """

    largest: Tensor
    positions: int


def input_sensitivities(
    model: nn.Module, layers: Mapping[str, Layer], batches: Iterable[Inputs], share: str
) -> dict[str, Sensitivity]:
    """Compute the empirical sensitivity of every input channel of ``layers``, in one pass over batches.

    See `largest_shares`; it is the largest over all samples and calls. A layer that is not called gets none.
    Raises PrunerError, which names the layer, for inputs that are not finite.
    """
    found: dict[str, Sensitivity] = {}
    with ExitStack() as hooks:
        for name, layer in layers.items():
            hook = layer.register_forward_pre_hook(_watching(name, found, share), with_kwargs=True)
            hooks.callback(hook.remove)
        with evaluating(model), as_defined():
            for part in (part for batch in batches for part in parts(batch)):
                with naming_refusals(model, REFUSED):
                    forward_on_copy(unwrapped(model), part)
    return found


def largest_shares(layer: Layer, inputs: Tensor, share: str) -> Tensor:
    """Compute the largest share that each input channel has of an output: (input channels,), from 0 to 1.

    Of output i at position p, with columns a of the input there (im2col) and j an input channel:

        sum_k w_ijk a_jk / sum_jk w_ijk a_jk                     (share="channel", the paper's)
        max_k w_ijk a_jk / sum_jk w_ijk a_jk                     (share="weight", the authors' code's)

    and of these the largest over i and p. Positive and negative weights are taken apart, as are positive and
    negative inputs: numerator and denominator then sum up terms of one sign, and the bias has no part.
    """
    columns = computable(layer_columns(layer, inputs))  # (groups, n, positions)
    groups, width, _ = columns.shape
    kernel = 1 if isinstance(layer, nn.Linear) else int(layer.weight[0, 0].numel())
    weight = layer.weight.detach().to(columns.dtype).reshape(groups, -1, width)
    largest = columns.new_zeros(groups, width // kernel)
    for some in columns.split(_POSITIONS, -1):
        outputs = max(1, _SHARES // (some.shape[-1] * (width // kernel if share == "channel" else width)))
        for a in _both_signs(some):
            for w in _both_signs(weight):
                for rows in w.split(outputs, 1):
                    largest = torch.maximum(largest, _largest(rows, a, kernel, share))
    return largest.flatten()


def _largest(weight: Tensor, columns: Tensor, kernel: int, share: str) -> Tensor:
    """Return the largest shares where no term is negative: (groups, channels)."""
    total = weight @ columns
    total = total.where(total > torch.finfo(total.dtype).tiny, torch.inf)
    groups, outputs, width = weight.shape
    if share == "weight":
        products = weight[..., None] * columns[:, None]
        return products.div_(total[:, :, None]).amax(3).amax(1).reshape(groups, -1, kernel).amax(-1)
    by_channel = weight.reshape(groups, outputs, -1, kernel).transpose(1, 2)
    of_output = by_channel @ columns.reshape(groups, width // kernel, kernel, -1)
    return of_output.div_(total[:, None]).amax(3).amax(2)


def _both_signs(values: Tensor) -> Iterator[Tensor]:
    """Yield the positive part and that of the negated values, where there is one."""
    for signed in (values, -values):
        part = signed.clamp(min=0)
        if part.any():
            yield part


def _watching(
    name: str, found: dict[str, Sensitivity], share: str
) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
    def watch(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        assert isinstance(layer, Layer)
        inputs = layer_input(args, kwargs).detach()
        if not inputs.numel():
            return
        if not inputs.isfinite().all():
            raise PrunerError(f"Layer {name!r}: its inputs on the calibration images are not finite.")
        shares = largest_shares(layer, inputs, share).double().cpu()
        before = found.get(name, Sensitivity(torch.zeros_like(shares), 0))
        found[name] = Sensitivity(
            torch.maximum(before.largest, shares), max(before.positions, _positions(layer, inputs))
        )

    return watch


def _positions(layer: Layer, inputs: Tensor) -> int:
    """Count the output positions of one sample; of a Linear one, as the paper does."""
    if isinstance(layer, nn.Linear):
        return 1
    batched = inputs.dim() == len(layer.kernel_size) + 2
    return layer_columns(layer, inputs[:1] if batched else inputs).shape[-1]
