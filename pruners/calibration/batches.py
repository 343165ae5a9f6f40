"""Calibration images as batches on the network's device."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pruners.errors import PrunerError
from pruners.network.inputs import (
    Inputs,
    batch_size,
    input_tensors,
    join_inputs,
    map_tensors,
    split_inputs,
    take_inputs,
)
from pruners.option_values import shown

IMAGES_AT_ONCE = 32  # that go through the network together, where the caller has not cut batches himself


_KEPT_AT_ONCE = 8 * 3 * 224 * 224  # values of images whose activations are all kept for a way back


def calibration_batches(data: Inputs | Iterable[Any], device: torch.device) -> list[Inputs]:
    """Copy calibration data to the network's device as batches of inputs, without labels.

    ``data`` is one tensor or dictionary of inputs, which is cut into batches of up to 32, or an iterable of
    batches, each inputs (a tensor or a dictionary), a pair (inputs, labels) or inputs alone in a list, as
    DataLoaders give them. An image that is a batch by itself joins its neighbours of the same shape: of it
    alone BatchNorm estimates nothing. Raises PrunerError for anything else, where there is no image, and
    where a value is not finite.
    """
    if isinstance(data, Tensor | Mapping):
        batches: list[Inputs] = _named(lambda: _evenly_cut(_dense(data)))
    elif isinstance(data, Iterable) and not isinstance(data, str):
        batches = [_without_labels(batch) for batch in data]
    else:
        raise PrunerError(f"data takes inputs, or batches of them, not {shown(data)}.")
    if not sum(_named(lambda batch=batch: batch_size(_dense(batch))) for batch in batches):
        raise PrunerError("data: there are no calibration images.")
    batches = _with_company([batch for batch in batches if batch_size(batch)])
    if not all(bool(tensor.isfinite().all()) for batch in batches for tensor in input_tensors(batch)):
        raise PrunerError("data: the calibration images hold values that are not finite.")
    return [map_tensors(lambda tensor: tensor.detach().to(device, copy=True), batch) for batch in batches]


def parts(batch: Inputs) -> list[Inputs]:
    """Cut a batch evenly into parts that are small enough for a pass there and back.

    They are of 8 images of 224 x 224 pixels, of more where these are smaller, and of 8 of anything else:
    what tokens become in a network is larger than they are. None is of one image where the batch has more:
    some networks take no such batch, or give it an output of another form.
    """
    images, tensors = batch_size(batch), input_tensors(batch)
    values = sum(tensor.numel() for tensor in tensors) // images
    fit = _KEPT_AT_ONCE // max(1, values) if all(tensor.is_floating_point() for tensor in tensors) else 0
    number = -(-images // max(8, fit))
    bounds = [images * part // number for part in range(number + 1)]
    return [take_inputs(batch, slice(*ends)) for ends in pairwise(bounds)]


def same_batches(some: Sequence[Inputs], others: Sequence[Inputs]) -> bool:
    """Tell whether batches hold the same values, cut alike."""
    if len(some) != len(others):
        return False
    for one, other in zip(some, others, strict=True):
        tensors = list(zip(_leaves(one), _leaves(other), strict=False))
        if len(_leaves(one)) != len(_leaves(other)) or not all(
            name == also and a.dtype == b.dtype and torch.equal(a, b) for (name, a), (also, b) in tensors
        ):
            return False
    return True


def batches_digest(batches: Sequence[Inputs]) -> str:
    """Hash the values of batches, their dtypes and how they are cut: 64 hexadecimal digits."""
    hasher = hashlib.sha256()
    for batch in batches:
        for name, tensor in _leaves(batch):
            hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            hasher.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        hasher.update(b"\n")
    return hasher.hexdigest()


def _evenly_cut(inputs: Inputs) -> list[Inputs]:
    """Cut inputs into as few batches as may be, of about the same size: BatchNorm counts each the same."""
    images = batch_size(inputs)
    return split_inputs(inputs, -(-images // max(1, -(-images // IMAGES_AT_ONCE))) or 1)


def _with_company(batches: Sequence[Inputs]) -> list[Inputs]:
    """Join batches of one image to the ones before, up to 32 images, and where one is left to the last."""
    joined: list[Inputs] = []
    for i, batch in enumerate(batches):
        size, before = batch_size(batch), batch_size(joined[-1]) if joined else 0
        alone = before == 1 or (size == 1 and (before < IMAGES_AT_ONCE or i == len(batches) - 1))
        if joined and alone and _form(joined[-1]) == _form(batch):
            joined[-1] = join_inputs([joined[-1], batch])
        else:
            joined.append(batch)
    return joined


def _form(inputs: Inputs) -> list[tuple[str, torch.dtype, torch.Size]]:
    return [(name, tensor.dtype, tensor.shape[1:]) for name, tensor in _leaves(inputs)]


def _without_labels(batch: Any) -> Inputs:
    if isinstance(batch, Tensor | Mapping):
        return batch
    if isinstance(batch, tuple | list) and len(batch) in (1, 2):
        inputs: Inputs = batch[0]
        return inputs
    raise PrunerError(f"data takes batches of inputs, or pairs (inputs, labels), not {shown(batch)}.")


def _dense(inputs: Inputs) -> Inputs:
    if any(tensor.layout is not torch.strided for tensor in input_tensors(inputs)):
        raise PrunerError("the calibration images are sparse tensors: convert them with to_dense().")
    return inputs


def _named(work: Any) -> Any:
    try:
        return work()
    except PrunerError as error:
        raise PrunerError(f"data: {error}") from None


def _leaves(inputs: Inputs) -> list[tuple[str, Tensor]]:
    keys = [str(key) for key in inputs] if isinstance(inputs, Mapping) else []
    tensors = input_tensors(inputs)
    return list(zip(keys if len(keys) == len(tensors) else [""] * len(tensors), tensors, strict=True))
