"""A folder from which plain torch loads a network."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import pruners
from pruners.channels.head_attention import HeadAttention
from pruners.lowrank.layers.decomposed_layer import BlockLinear, DecomposedLayer, Reordering
from pruners.network.inputs import Inputs, forward_on_copy
from pruners.quantization.capture import first_line
from sweeps.deployment import load_network
from sweeps.deployment.agreement import largest_difference
from sweeps.errors import SweepError

LOADER = "load_network.py"
_WEIGHTS = "network.safetensors"
_TOLERANCE = 1e-4
"""Of the largest output: the same layers round otherwise where their weights lie in another order."""


def write_loader(
    artifact: pruners.Artifact,
    small: nn.Module,
    factory: Callable[[], nn.Module],
    example: Inputs,
    folder: Path,
) -> None:
    """Write beside an artifact what `load_network.load` reads, and that file itself.

    What it loads into a network of ``factory`` computes what ``small`` does for the example. Raises
    `SweepError` where it cannot, OSError where the files cannot be written.
    """
    if any(isinstance(module, HeadAttention) for module in small.modules()):
        raise SweepError("attention with fewer heads needs pruners' own module, so there is no plain loader.")
    try:
        _write(artifact, small, folder)
        plain = load_network.load(factory(), folder)
        with torch.no_grad():
            apart = largest_difference(*(forward_on_copy(network, example) for network in (small, plain)))
        if not apart <= _TOLERANCE:
            raise ValueError(f"its outputs are off by {apart:.2g} of the largest")
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a network's own code makes of plain layers
        for name in (LOADER, "network.json", _WEIGHTS):
            (folder / name).unlink(missing_ok=True)
        raise SweepError(f"the network is another with plain layers ({first_line(error)}).") from error


def _write(artifact: pruners.Artifact, small: nn.Module, folder: Path) -> None:
    state, same = _distinct(small.state_dict(keep_vars=True))
    told: dict[str, Any] = {"weights": "model.safetensors", "replaced": {}, "numbers": {}, "same": same}
    if isinstance(artifact, pruners.Decomposition):
        modules = dict(small.named_modules())
        told["replaced"] = {name: _parts(modules[name]) for name in artifact.layers}
    elif isinstance(artifact, pruners.Channels):
        told["numbers"] = {name: left for name, (_, left) in artifact.numbers.items()}
    else:
        told["weights"] = _WEIGHTS  # a mask's file holds the kept weights alone
        copies = {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
        save_file(copies, folder / _WEIGHTS)
    (folder / "network.json").write_text(json.dumps(told, indent=1) + "\n")
    (folder / LOADER).write_text(inspect.getsource(load_network))


def _distinct(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return each tensor under its first name, and the first names of the others."""
    first: dict[int, str] = {}
    names = {name: first.setdefault(id(tensor), name) for name, tensor in state.items()}
    return {n: state[n] for n in first.values()}, {n: of for n, of in names.items() if n != of}


def _parts(layer: nn.Module) -> dict[str, tuple[str, dict[str, Any]]]:
    """Describe the layers that stand for one, by what torch builds them with."""
    assert isinstance(layer, DecomposedLayer)
    return {name: (type(part).__name__, _options(part)) for name, part in layer.named_children()}


def _options(part: nn.Module) -> dict[str, Any]:
    if isinstance(part, nn.Conv2d):
        told = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
        options = {name: getattr(part, name) for name in (*told, "padding_mode")}
        return options | {"bias": part.bias is not None}
    if isinstance(part, nn.Linear):
        sizes = {"in_features": part.in_features, "out_features": part.out_features}
        return sizes | {"bias": part.bias is not None}
    if isinstance(part, BlockLinear):
        return dict(zip(("num_subspaces", "rank", "part"), part.weight.shape, strict=True))
    assert isinstance(part, Reordering)
    return {"channels": len(part.order), "dimension": part.dimension}
