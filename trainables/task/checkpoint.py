"""The user's own trained weights as a start."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from trainables.errors import TaskError
from trainables.users_code.factory import describe


def restore(network: nn.Module, path: str) -> None:
    """Load every entry of the state dict at ``path`` into ``network``.

    The file is .safetensors, or .pt holding tensors only. Of the names of a tied weight one is enough:
    safetensors' ``save_model`` keeps no more. Raises `TaskError` when the file is missing or unreadable, or
    when a name or a shape differs.
    """
    state, expected = _read(Path(path).expanduser()), network.state_dict(keep_vars=True)
    given = {id(expected[name]): tensor for name, tensor in state.items() if name in expected}
    state |= {
        name: given[id(tied)] for name, tied in expected.items() if name not in state and id(tied) in given
    }
    for name, tensor in expected.items():
        if name not in state:
            raise _unfit(path, f" lacks {name!r}, which the network has.")
        if state[name].shape != tensor.shape:
            raise _unfit(
                path,
                f": {name!r} has shape {tuple(state[name].shape)}, the network's {tuple(tensor.shape)}.",
            )
    for name in state:
        if name not in expected:
            raise _unfit(path, f" has {name!r}, which the network lacks.")
    network.load_state_dict(state)


def _unfit(path: str, what: str) -> TaskError:
    """Return the error; a compressed network's files are no state dict of the dense one."""
    is_compressed = Path(path).expanduser().with_name("spec.json").is_file()
    hint = " The spec.json beside it is a compressed network's: name a file of the state_dict() that "
    hint += "pruners.load(folder).apply(network) has."
    return TaskError(f"checkpoint {path}{what}{hint if is_compressed else ''}")


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise TaskError(f"there is no checkpoint {path}.")
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, RuntimeError, ValueError, OSError, EOFError, KeyError) as error:
        raise TaskError(f"checkpoint {path} cannot be read ({describe(error)}).") from error
    except Exception as error:  # torch.load raises pickle's own error for anything but tensors
        raise TaskError(
            f"checkpoint {path} holds more than tensors; save the network's state_dict()."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TaskError(f"checkpoint {path} is no state dict; save the network's state_dict().")
    return dict(state)
