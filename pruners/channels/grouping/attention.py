"""Which entries of the tensors of torch's own attention make one feature of one head."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pruners.channels.grouping.places import Axis, axes_of
from pruners.channels.head_attention import is_torchs
from pruners.sparse.selection.prunable import PROJECTIONS


def projections_of(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights that make queries, keys and values in torch's own attention, by attribute.

    There are none in other modules, in classes derived from it, and where a weight of it is computed.
    """
    if not isinstance(module, nn.MultiheadAttention) or not is_torchs(module):
        return {}
    if "weight" not in module.out_proj._parameters:
        return {}
    found = {name: module._parameters.get(name) for name in PROJECTIONS}
    return {name: weight for name, weight in found.items() if weight is not None}


def attention_couplings(
    attention: nn.MultiheadAttention,
) -> Iterator[tuple[tuple[Axis, Tensor], tuple[Axis, Tensor]]]:
    """List which entries go together: of each projection, its bias and the keys and values that are added,
    with the entries of the output projection that they are multiplied by; of two axes, pair by pair.
    """
    width = attention.num_heads * attention.head_dim
    every = torch.arange(width, device="cpu")
    (out,) = axes_of(attention.out_proj.weight, 1)
    made = [(weight, 0) for weight in (*projections_of(attention).values(), attention.in_proj_bias)]
    for tensor, dim in (*made, (attention.bias_k, 2), (attention.bias_v, 2)):
        for axis in axes_of(tensor, dim):
            # packed tensors hold query's, key's and value's one after another
            for start in range(0, axis.length, width):
                yield (axis, every + start), (out, every)
