"""What torchao does: quantise a graph, and lower it to a processor's int8 operators.

It is imported when it is needed: that takes seconds.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule

from pruners.errors import PrunerError
from pruners.network.inputs import Inputs, forward_on_copy
from pruners.quantization.capture import first_line


def quantized_graph(graph: GraphModule, activations: str, batches: Sequence[Inputs]) -> GraphModule:
    """Return a captured graph with int8 weights and roundings of activations around each product.

    Raises PrunerError for what torchao cannot quantise, a layer whose weight is computed for example.
    """
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    quantizer = x86.X86InductorQuantizer()
    dynamic = activations == "dynamic"
    if dynamic:  # oneDNN has no convolution that finds its inputs' ranges
        scheme = x86.get_default_x86_inductor_quantization_config(is_dynamic=True)
        quantizer.set_function_type_qconfig(torch.nn.functional.linear, scheme)
    else:
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    try:
        prepared = prepare_pt2e(graph, quantizer)
        for batch in batches[:1] if dynamic else batches:  # once at least, which shows the weights
            forward_on_copy(prepared, batch)
        converted: GraphModule = convert_pt2e(prepared)
    except MemoryError:
        raise
    except Exception as error:
        raise PrunerError(
            f"The network cannot be made int8: torchao does not quantise it ({first_line(error)})."
        ) from error
    _remove_unused(converted)
    return converted.requires_grad_(False)


def lowered_to_x86(graph: nn.Module, example: tuple[Any, ...]) -> nn.Module:
    """Return a quantised graph on oneDNN's int8 operators, for inputs of the shapes of ``example``."""
    from torchao.quantization.pt2e.lowering import lower_pt2e_quantized_to_x86

    with torch.no_grad(), quietly():
        lowered: GraphModule = lower_pt2e_quantized_to_x86(graph, example)
    aten = torch.ops.aten
    for node in lowered.graph.nodes:
        # oneDNN's convolutions leave channels last, of which no view is contiguous
        if node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default
    lowered.recompile()
    return lowered


@contextmanager
def quietly() -> Iterator[None]:
    """Keep to ourselves what torch and torchao have to say to those who maintain them."""
    # some is logged, some warned of, and some printed
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _remove_unused(graph: GraphModule) -> None:
    """Remove the float weights that the int8 ones were made of."""
    graph.graph.eliminate_dead_code()
    graph.recompile()
    used = {node.target for node in graph.graph.nodes if node.op == "get_attr"}
    for name in [*dict(graph.named_parameters()), *dict(graph.named_buffers())]:
        if name not in used:
            owner, _, own = name.rpartition(".")
            delattr(graph.get_submodule(owner), own)
