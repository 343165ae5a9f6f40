"""A network as a graph that can be quantised."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Node

from pruners.errors import PrunerError
from pruners.network.inputs import Inputs, batch_size, input_tensors, join_inputs, take_inputs

_CONVOLUTION: tuple[Any, ...] = (None, None, None, [1, 1], "valid", [1, 1], 1)
"""The arguments of a convolution where they are not given, in their order."""


class ByPosition(nn.Module):
    """A network all of whose inputs come by position; those from the end on have the given ``names``."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]):
        super().__init__()
        self.network, self._names = network, names

    def forward(self, *inputs: Any) -> Any:
        """Return the network's outputs."""
        first = len(inputs) - len(self._names)
        return self.network(*inputs[:first], **dict(zip(self._names, inputs[first:], strict=True)))


def by_position(inputs: Inputs) -> tuple[Any, ...]:
    """Return a batch as positional arguments, a dictionary's in its order."""
    if isinstance(inputs, Mapping):
        return tuple(inputs.values())
    return tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)


def exported(
    model: nn.Module, inputs: Inputs, strict: bool, what: str = "made int8"
) -> torch.export.ExportedProgram:
    """Export a network in eval mode for batches of any size; ``inputs`` is one of several examples.

    They are positional arguments (a tuple), or a dictionary of those by name. ``strict`` notes on every node
    which function it comes from, which quantisers go by. PrunerError for a network that torch.export cannot
    follow, or only for this very number of examples; ``what`` says what it cannot be.
    """
    shapes = torch.export.ShapesCollection()
    for tensor in input_tensors(inputs):
        shapes[tensor] = {0: torch.export.Dim.DYNAMIC}
    by_name = dict(inputs) if isinstance(inputs, Mapping) else {}
    positional = () if by_name else tuple(inputs)
    try:
        with _plain_attention():
            return torch.export.export(model, positional, by_name, dynamic_shapes=shapes, strict=strict)
    except MemoryError:
        raise
    except Exception as error:
        raise PrunerError(
            f"The network cannot be {what}: torch.export does not follow it ({first_line(error)})."
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of what torch says, which goes on with pages of its own code."""
    said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return said.strip().rstrip(".")


def captured(model: nn.Module, inputs: tuple[Any, ...]) -> GraphModule:
    """Return a network's graph as quantisers know one: Linears on matrices, padding in numbers.

    Raises PrunerError as `exported` does.
    """
    graph: GraphModule = exported(model, several(inputs), strict=True).module()
    for node in list(graph.graph.nodes):
        if node.target is torch.ops.aten.conv2d.padding:
            _pad_in_numbers(node)
        if node.target is torch.ops.aten.linear.default:
            # also those that attention calls by a function of its own
            node.meta["source_fn_stack"] = [(node.name, torch.nn.functional.linear)]
            if node.args[0].meta["val"].dim() > 2:
                _flatten(graph, node)
    graph.graph.lint()
    graph.recompile()
    return graph


def _pad_in_numbers(convolution: Node) -> None:
    """Put numbers in place of the padding "same" or "valid", where the sides of an image get the same."""
    given: tuple[Any, ...] = convolution.args
    inputs, weight, bias, stride, padding, dilation, groups = (*given, *_CONVOLUTION[len(given) :])
    kernel = weight.meta["val"].shape[2:]
    added = [0 if padding == "valid" else d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if not any(number % 2 for number in added):
        convolution.target = torch.ops.aten.conv2d.default
        convolution.args = (inputs, weight, bias, stride, [n // 2 for n in added], dilation, groups)


def _flatten(graph: GraphModule, linear: Node) -> None:
    """Put reshapes around a Linear of inputs (..., features): int8 products are of matrices."""
    inputs, *others = linear.args
    assert isinstance(inputs, Node)
    features, aten = inputs.meta["val"].shape[-1], torch.ops.aten
    call = graph.graph.call_function
    with graph.graph.inserting_before(linear):
        matrix = call(aten.reshape.default, (inputs, [-1, features]))
        sizes = [
            size if isinstance(size, int) else call(aten.sym_size.int, (inputs, dim))
            for dim, size in enumerate(inputs.meta["val"].shape[:-1])
        ]
    with graph.graph.inserting_after(linear):
        back = call(aten.reshape.default, (linear, [*sizes, linear.meta["val"].shape[-1]]))
    linear.replace_all_uses_with(back, delete_user_cb=lambda user: user is not back)
    linear.args = (matrix, *others)


def several(inputs: Inputs) -> Any:
    """Return two examples of a batch: of one torch.export would take its number for a constant."""
    first = take_inputs(inputs, slice(1))
    second = take_inputs(inputs, slice(1, 2)) if batch_size(inputs) > 1 else first
    return join_inputs([first, second])


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Have torch compute attention from its layers, not by one fused function that hides them."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
