"""How often each layer's weight is used in one forward pass."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from pruners.network.counting.multiply_adds import as_defined, multiply_adds
from pruners.network.forward_pass import batch_that_runs, evaluating
from pruners.network.inputs import Inputs, forward_on_copy
from pruners.network.layer_names import unwrapped

Positions = Mapping[tuple[bool, bool], int]
"""Numbers of positions, by whether their height, and their width, is already that of a layer's outputs."""

AT_OUTPUTS = (True, True)
_SIDES = ((False, False), (False, True), (True, False), AT_OUTPUTS)


def times_multiplied(model: nn.Module, layers: Mapping[str, nn.Module], example: Inputs) -> dict[str, int]:
    """Count for each layer how often the given batch multiplies every weight.

    A layer's multiply-adds are its weights times these. They are the layer's output positions (a transposed
    convolution's input positions), summed over all its calls, whoever multiplies the weight:
    `nn.MultiheadAttention` never calls its ``out_proj``. Part of a position counts as one. A layer that does
    not run counts 0. The network is not changed. Raises PrunerError for an example that it cannot take.
    """
    weights = {name: weight for name, layer in layers.items() if isinstance(weight := layer.weight, Tensor)}
    count = multiply_adds(model, example, {name: (weight, None) for name, weight in weights.items()})
    positions = {
        name: -(-count.of_weight[name] // max(1, weight.numel())) for name, weight in weights.items()
    }
    # a weight that is made anew for every call cannot be followed; the calls of its layer can
    unseen = {name: layers[name] for name, number in positions.items() if not number}
    return positions | (times_multiplied_in_calls(model, unseen, example) if unseen else {})


def times_multiplied_in_calls(
    model: nn.Module, layers: Mapping[str, nn.Module], example: Inputs
) -> dict[str, int]:
    """Count how often each layer's own calls multiply a weight: at every output position.

    Where others multiply by the layer's weight does not count.
    """
    return {name: counts[AT_OUTPUTS] for name, counts in positions_in_calls(model, layers, example).items()}


def positions_in_calls(
    model: nn.Module, layers: Mapping[str, nn.Module], example: Inputs
) -> dict[str, Positions]:
    """Count the positions of each layer's own calls: of its inputs, its outputs, and in between.

    A Conv2d in two steps, one on each side of the kernel, has in between the output's height with the
    input's width, or the other way round. Of other layers all four are the times each weight is multiplied.
    """
    batch, copies = batch_that_runs(model, example)
    positions: dict[str, dict[tuple[bool, bool], int]] = {name: dict.fromkeys(_SIDES, 0) for name in layers}
    handles = [layer.register_forward_hook(_counter(positions[name])) for name, layer in layers.items()]
    try:
        # the fast path of nn.TransformerEncoder would read the weights of layers that it else calls
        with evaluating(model), as_defined():
            forward_on_copy(unwrapped(model), batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: {at: n // copies for at, n in counts.items()} for name, counts in positions.items()}


def _counter(positions: dict[tuple[bool, bool], int]) -> Any:
    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        side = inputs[0] if isinstance(layer, _ConvTransposeNd) else output
        at_outputs = side.numel() // max(1, len(weight))
        for height, width in _SIDES:
            number = at_outputs
            if isinstance(layer, nn.Conv2d) and at_outputs:
                number //= output.shape[-2] * output.shape[-1]
                number *= (output if height else inputs[0]).shape[-2]
                number *= (output if width else inputs[0]).shape[-1]
            positions[height, width] += number

    return count
