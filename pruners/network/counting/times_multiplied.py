"""How often each layer's weight is used in one forward pass."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from pruners.network.counting.multiply_adds import as_defined, multiply_adds
from pruners.network.forward_pass import batch_that_runs, evaluating
from pruners.network.inputs import Inputs, forward_on_copy
from pruners.network.layer_names import unwrapped


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
    batch, copies = batch_that_runs(model, example)
    positions = dict.fromkeys(layers, 0)
    handles = [layer.register_forward_hook(_counter(name, positions)) for name, layer in layers.items()]
    try:
        # the fast path of nn.TransformerEncoder would read the weights of layers that it else calls
        with evaluating(model), as_defined():
            forward_on_copy(unwrapped(model), batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: number // copies for name, number in positions.items()}


def _counter(name: str, positions: dict[str, int]) -> Any:
    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        side = inputs[0] if isinstance(layer, _ConvTransposeNd) else output
        positions[name] += side.numel() // max(1, len(weight))

    return count
