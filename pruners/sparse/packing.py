"""A mask and the weights under it in few bytes, for a file.

The mask as bits, or as how far it is from one of the rarer weights to the next; of the weights the kept ones.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_FAR = 255
"""The byte of a distance that says: so many weights further, and the next byte goes on."""


def packed(masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pack bool tensors on the CPU into one-dimensional uint8 tensors, each in the shortest of three forms.

    The form stands before the name. ``bits/conv.weight`` holds eight weights a byte, the first in the highest
    bit. ``kept/conv.weight`` holds the distance from each kept weight to the next (the first one's from the
    beginning), ``removed/conv.weight`` the same of those that are removed: a byte each, and a 255 before it
    for every 255 weights more. Weights are counted in the order of the flattened tensor.
    """
    return dict(_shortest(name, mask.numpy().ravel()) for name, mask in masks.items())


def unpacked(stored: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Unpack what `packed` gave, of masks with these shapes; TypeError where it is not of such masks."""
    forms: dict[str, tuple[str, NDArray[np.uint8]]] = {}
    for name, tensor in stored.items():
        form, _, of = name.partition("/")
        if tensor.dtype != torch.uint8 or tensor.dim() != 1 or of in forms:
            raise TypeError(f"{name!r} is no packed mask")
        forms[of] = (form, tensor.numpy())
    if forms.keys() != shapes.keys():
        raise TypeError("the masks are not those of its layers")
    return {name: _mask(*forms[name], shape) for name, shape in shapes.items()}


def packed_state(state: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave the kept values alone of each tensor with a mask, under all of its names.

    They have one dimension, and the order of the flattened tensor.
    """
    kept = {id(state[name]): state[name][mask] for name, mask in masks.items()}
    return {name: kept.get(id(tensor), tensor) for name, tensor in state.items()}


def unpacked_state(stored: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put the values that `packed_state` left into their places, with zeros around them.

    TypeError where there are not as many as ``masks`` keep.
    """
    whole = {id(stored[name]): _whole(name, stored[name], mask) for name, mask in masks.items()}
    return {name: whole.get(id(tensor), tensor) for name, tensor in stored.items()}


def _whole(name: str, kept: Tensor, mask: Tensor) -> Tensor:
    if kept.shape != (int(mask.count_nonzero()),):
        raise TypeError(
            f"{name!r} has {tuple(kept.shape)} values, its mask keeps {int(mask.count_nonzero())}"
        )
    whole = torch.zeros(mask.shape, dtype=kept.dtype)
    whole[mask] = kept
    return whole


def _shortest(name: str, mask: NDArray[np.bool_]) -> tuple[str, Tensor]:
    forms = {
        "bits": np.packbits(mask),
        "kept": _distances(np.flatnonzero(mask)),
        "removed": _distances(np.flatnonzero(~mask)),
    }
    form = min(forms, key=lambda each: forms[each].size)
    return f"{form}/{name}", torch.from_numpy(forms[form])


def _mask(form: str, content: NDArray[np.uint8], shape: tuple[int, ...]) -> Tensor:
    """Unpack one mask; TypeError where the content is not of this form and shape."""
    size = int(np.prod(shape, dtype=np.int64))
    if form == "bits" and content.size == -(-size // 8):
        mask = np.unpackbits(content, count=size).astype(np.bool_)
    elif form in ("kept", "removed"):
        places = _places(content)
        if places.size and places[-1] >= size:
            raise TypeError("the masks are not those of its layers")
        mask = np.full(size, form == "removed")
        mask[places] = form == "kept"
    else:
        raise TypeError("the masks are not those of its layers")
    return torch.from_numpy(mask).view(shape)


def _distances(places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Write ascending places as the distances between them."""
    far, rest = np.divmod(np.diff(places, prepend=0), _FAR)
    ends = np.cumsum(far + 1) - 1
    content = np.full(ends[-1] + 1 if ends.size else 0, _FAR, dtype=np.uint8)
    content[ends] = rest
    return content


def _places(content: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Read the places back from the distances."""
    places: NDArray[np.int64] = np.cumsum(content, dtype=np.int64)[content != _FAR]
    return places
