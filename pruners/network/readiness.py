"""Whether a network, or a layer, has what is asked of it.

That is parameters, values, numbers that can be computed with.
"""

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pruners.errors import PrunerError
from pruners.network.layer_names import named_buffers, named_modules, named_parameters

_COMPUTABLE = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def check_initialized(model: nn.Module) -> None:
    """Raise PrunerError where a Lazy module has not been run yet: its parameters have no shapes."""
    for name, module in named_modules(model):
        if any(
            t is not None and is_lazy(t) for t in (*module._parameters.values(), *module._buffers.values())
        ):
            where = (
                f"Layer {name!r} ({type(module).__name__})"
                if name
                else f"The network, a {type(module).__name__},"
            )
            raise PrunerError(f"{where} has no weights before it has seen an input: run the network once.")


def check_has_values(model: nn.Module) -> None:
    """Raise PrunerError where a parameter or buffer has no values.

    It has not been initialised, or is on the meta device.
    """
    check_initialized(model)
    for name, tensor in (named_parameters(model) | named_buffers(model)).items():
        if tensor.is_meta:
            raise PrunerError(
                f"{name!r} is on the meta device and has no values: move the network with to_empty "
                "and load its state."
            )


def has_own_forward(module: nn.Module, torchs: type[nn.Module]) -> bool:
    """Tell whether a module computes otherwise than ``torchs``, the class of torch's that it is one of."""
    own, steps = type(module), ("forward", "_conv_forward", "__call__")
    replaced = any(getattr(own, step, None) is not getattr(torchs, step, None) for step in steps)
    return replaced or not vars(module).keys().isdisjoint(steps)


def check_computable(name: str, weight: Tensor) -> None:
    """Raise PrunerError where a weight is of a dtype or layout that cannot be computed with.

    Neither scores nor singular values are computed in it.
    """
    if weight.layout is not torch.strided:
        layout = str(weight.layout).removeprefix("torch.")
        raise PrunerError(f"{name!r} is {layout}, which cannot be compressed: convert it with to_dense().")
    if weight.dtype not in _COMPUTABLE:
        dtype = str(weight.dtype).removeprefix("torch.")
        raise PrunerError(
            f"{name!r} is {dtype}, which cannot be compressed: exclude the layer, or convert it to float32."
        )
