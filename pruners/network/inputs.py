"""What a network is called with: one tensor, several by position or several by keyword.

Each is a batch of the same examples.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pruners.errors import PrunerError

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]
"""A tensor (N, ...), a tuple or list of such tensors (positional arguments), or a dictionary of them (keyword
arguments).
"""


def forward(model: nn.Module, inputs: Inputs) -> Any:
    """Call a network with a batch.

    A tensor goes as it is, a tuple or list as positional, a dictionary as keyword arguments.
    """
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def forward_on_copy(model: nn.Module, inputs: Inputs) -> Any:
    """Call a network with a copy of a batch: some normalise what they are given in place."""
    return forward(model, map_tensors(torch.clone, inputs))


def layer_input(inputs: tuple[Any, ...], by_name: Mapping[str, Any]) -> Tensor:
    """Return what a hook tells that one of torch's own layers was called with, by position or by name."""
    given: Tensor = inputs[0] if inputs else by_name["input"]
    return given


def map_tensors(change: Callable[[Tensor], Tensor], inputs: Inputs) -> Any:
    """Return ``inputs`` in their own form with ``change`` applied to every tensor.

    Raises PrunerError for what is no tensor, where it stands in place of one.
    """
    if isinstance(inputs, Tensor):
        return change(inputs)
    if isinstance(inputs, Mapping):
        return {name: map_tensors(change, part) for name, part in inputs.items()}
    if isinstance(inputs, tuple | list):
        parts = [map_tensors(change, part) for part in inputs]
        return parts if isinstance(inputs, list) else tuple(parts)
    raise PrunerError(
        "a network's inputs are a tensor, a tuple or list of tensors, or a dictionary of them; "
        f"{type(inputs).__name__} is none of these."
    )


def input_tensors(inputs: Inputs) -> list[Tensor]:
    """Return every tensor of a batch in order.

    Raises PrunerError where there is none, or anything else in place of one.
    """
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(note, inputs)
    if not found:
        raise PrunerError("a network's inputs hold no tensor.")
    return found


def move_inputs(inputs: Inputs, device: torch.device, non_blocking: bool = False) -> Any:
    """Return the batch with all its tensors on ``device``."""
    return map_tensors(lambda tensor: tensor.to(device, non_blocking=non_blocking), inputs)


def take_inputs(inputs: Inputs, index: Any) -> Any:
    """Return the examples that ``index`` selects along the first dimension of every tensor.

    ``index`` is a slice or an int64 tensor.
    """
    return map_tensors(lambda tensor: tensor[index], inputs)


def batch_size(inputs: Inputs) -> int:
    """Return how many examples a batch holds: the length of its tensors, which must all have the same.

    Raises PrunerError where they differ, and for a tensor without dimensions.
    """
    sizes = {tensor.shape[0] if tensor.dim() else None for tensor in input_tensors(inputs)}
    if len(sizes) > 1 or None in sizes:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in input_tensors(inputs))
        raise PrunerError(
            "the tensors of a batch must all have as many examples in dimension 0; their shapes "
            f"are {shapes}."
        )
    (size,) = sizes
    assert size is not None
    return size


def split_inputs(inputs: Inputs, size: int) -> list[Any]:
    """Return the batch cut into consecutive ones of ``size`` examples; the last may be smaller."""
    return [take_inputs(inputs, slice(start, start + size)) for start in range(0, batch_size(inputs), size)]


def join_inputs(batches: Sequence[Inputs]) -> Any:
    """Return one batch of the examples of all ``batches``, which must be of one form.

    Raises PrunerError where they are not.
    """
    columns = [input_tensors(batch) for batch in batches]
    if len({len(column) for column in columns}) > 1:
        raise PrunerError("batches of inputs that are joined must all be of one form.")
    joined = iter([torch.cat(parts) for parts in zip(*columns, strict=True)])
    return map_tensors(lambda _: next(joined), batches[0])


def inputs_device(inputs: Inputs) -> torch.device:
    """Return the device of a batch, that of its first tensor."""
    return input_tensors(inputs)[0].device


def check_example(example: Any) -> None:
    """Raise PrunerError, which names the argument, for an example that no network could be called with."""
    try:
        batch_size(example)
    except PrunerError as error:
        raise PrunerError(f"example: {error}") from None
