"""Which entries of a network's tensors go together, from Torch-Pruning's dependency graph."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_leaves
from torch_pruning.dependency import index_mapping
from torch_pruning.ops import OPTYPE

from pruners.channels.places import Axis, Side, axes_of, couplings, side_of
from pruners.errors import PrunerError
from pruners.network.inputs import Inputs, forward_on_copy

Pair = tuple[Axis, Tensor, Axis, Tensor]
"""Entries of two axes that go together, one by one."""

_MAPPINGS = {
    OPTYPE.CONCAT: index_mapping.update_concat_index_mapping,
    OPTYPE.SPLIT: index_mapping.update_split_index_mapping,
    OPTYPE.RESHAPE: index_mapping.update_reshape_index_mapping,
    OPTYPE.UNBIND: index_mapping.update_unbind_index_mapping,
    OPTYPE.EXPAND: index_mapping.update_expand_index_mapping,
    OPTYPE.SLICE: index_mapping.update_slice_index_mapping,
}
_WITHOUT_TENSORS = {*_MAPPINGS, OPTYPE.ELEMENTWISE}


class _Index(NamedTuple):
    """A channel of a layer and the one of the root layer that it goes with, as Torch-Pruning's mappings."""

    idx: int
    root_idx: int


class Dependencies:
    """The pairs of entries that go together, and those that must stay.

    ``roots`` lists the output axes of layers whose filters make channels. ``model`` is only looked at: it is
    traced by its autograd graph, as it stands (a copy in the mode in which it is to be followed).
    """

    def __init__(self, model: nn.Module, example: Inputs) -> None:
        self.pairs: list[Pair] = []
        self.whole: list[tuple[Axis, Tensor]] = []
        self.roots: set[Axis] = set()
        self._graph, self._unmapped = _traced(model, example)
        for module, node in self._graph.module2node.items():
            if isinstance(module, _ConvNd | nn.Linear):
                self._follow(node, module)
        for module in model.modules():
            if isinstance(module, _ConvNd) and module.groups > 1 and "weight" in module._parameters:
                self.pairs += [(*one, *other) for one, other in couplings(module)]

    def _follow(self, root: Any, module: nn.Module) -> None:
        """Note what goes with each output channel of a layer."""
        own = side_of(module, out=True)
        if own is None or not own.axes:
            return
        self.roots.add(own.axes[0])
        prune = self._graph.get_pruner_of_module(module).prune_out_channels
        waiting = [(root, prune, [_Index(i, i) for i in range(own.channels)])]
        seen = set()
        while waiting:
            node, handler, channels = waiting.pop()
            state = (node, handler, tuple((one.idx, one.root_idx) for one in channels))
            if state in seen:
                continue
            seen.add(state)
            self._note(own, node, handler, channels)
            for dependency in node.dependencies:
                if not dependency.is_triggered_by(handler):
                    continue
                mapped = channels
                try:
                    for mapping in dependency.index_mapping:
                        mapped = mapped if mapping is None else mapping(mapped)
                except Exception:  # its guess of the sizes was wrong
                    self._stay(own, channels)
                    continue
                if mapped:
                    waiting.append((dependency.target, dependency.handler, mapped))

    def _note(self, own: Side, node: Any, handler: Callable[..., Any], channels: list[_Index]) -> None:
        index = torch.tensor([one.idx for one in channels], device="cpu")
        sides = [] if node.type in _WITHOUT_TENSORS else self._sides(node, handler)
        known = node not in self._unmapped and all(
            side is not None and int(index.max()) < side.channels for side in sides
        )
        if not known:
            self._stay(own, channels)
            return
        of_root = torch.tensor([one.root_idx for one in channels], device="cpu")
        for side in sides:
            for axis in side.axes if side is not None else ():
                self.pairs.append((own.axes[0], of_root % own.axes[0].length, axis, index % axis.length))

    def _stay(self, own: Side, channels: list[_Index]) -> None:
        of_root = torch.tensor([one.root_idx for one in channels], device="cpu")
        self.whole += [(axis, of_root % axis.length) for axis in own.axes]

    def _sides(self, node: Any, handler: Callable[..., Any]) -> list[Side | None]:
        module = node.module
        if isinstance(module, nn.Parameter):
            dim = node.pruning_dim % module.dim()
            return [Side(module.shape[dim], axes_of(module, dim))]
        if isinstance(module, nn.PReLU):
            axes = axes_of(module.weight, 0) if module.num_parameters > 1 else ()
            return [Side(module.num_parameters, axes)] if axes else []
        pruner = self._graph.get_pruner_of_module(module)
        both = pruner.prune_out_channels == pruner.prune_in_channels
        if both and isinstance(module, _ConvNd):
            if module.in_channels != module.out_channels:
                return [None]
            return [side_of(module, out=True), side_of(module, out=False)]
        return [side_of(module, out=both or handler == pruner.prune_out_channels)]


def _traced(model: nn.Module, example: Inputs) -> tuple[Any, set[Any]]:
    """Build the graph, and the nodes whose change of channels Torch-Pruning cannot tell."""
    graph = torch_pruning.DependencyGraph()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph.build_dependency(
                model, example, forward_fn=forward_on_copy, output_transform=_of_outputs, verbose=False
            )
        return graph, set()
    except Exception as error:
        if not any(node.dependencies for node in getattr(graph, "module2node", {}).values()):
            raise PrunerError(f"Torch-Pruning cannot follow the network's channels: {error}") from error
    return graph, set(_unmapped(graph))


def _unmapped(graph: Any) -> Iterator[Any]:
    for node in graph.module2node.values():
        try:
            _MAPPINGS.get(node.type, _nothing)(graph, node)
        except Exception:
            yield node


def _nothing(graph: Any, node: Any) -> None:
    pass


def _of_outputs(outputs: Any) -> list[Tensor]:
    """Return the output tensors, each by an operation of its own: else no node would be an output."""
    tensors = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.grad_fn is not None]
    return [tensor * 1 for tensor in tensors]
