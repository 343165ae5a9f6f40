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

from pruners.channels.grouping.attention import attention_couplings, projections_of
from pruners.channels.grouping.places import PORT, Axis, Side, axes_of, couplings, side_of
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
    """A channel, and the one that it was mapped from, as Torch-Pruning's mappings take and give them."""

    idx: int
    root_idx: int


_Port = tuple[Any, Callable[..., Any]]
"""A node of the graph and the function that would prune it: one side of a layer, or both."""


class Dependencies:
    """The pairs of entries that go together, and those that must stay.

    ``roots`` holds the axes of the outputs of convolutions and Linears from where channels were followed, and
    those of attention's projections, whose channels go no further than to its own output projection.
    ``model`` is traced by its autograd graph, in train mode where ``training``.
    """

    def __init__(self, model: nn.Module, example: Inputs, training: bool) -> None:
        self.roots: set[Axis] = set()
        self._graph, self._unmapped = _traced(model, example, training)
        # of one that is not called nothing would tell whether its heads can go
        self._attentions = [
            module
            for module in self._graph.module2node
            if isinstance(module, nn.MultiheadAttention) and projections_of(module)
        ]
        self._reached: dict[_Port, set[int]] = {}
        self._links: list[tuple[_Port, _Port, Tensor]] = []
        self._lost: list[tuple[_Port, list[int]]] = []
        self._bound = max((size for p in model.parameters() for size in p.shape), default=0)
        self._follow()
        self.pairs: list[Pair] = []
        self.whole: list[tuple[Axis, Tensor]] = []
        self._told()
        for module in model.modules():
            if isinstance(module, _ConvNd) and module.groups > 1 and "weight" in module._parameters:
                self.pairs += [(*one, *other) for one, other in couplings(module)]
        for attention in self._attentions:
            weights = projections_of(attention).values()
            self.roots.update(axis for weight in weights for axis in axes_of(weight, 0))
            self.pairs += [(*one, *other) for one, other in attention_couplings(attention)]

    def _follow(self) -> None:
        """Go from each layer's output channels to all that goes with them, each channel of a port once."""
        waiting: list[tuple[_Port, list[int]]] = []
        for module, node in self._graph.module2node.items():
            makes = isinstance(module, _ConvNd | nn.Linear | nn.Embedding)
            own = side_of(module, out=True) if makes else None
            if own is not None and own.axes:
                if not isinstance(module, nn.Embedding):
                    self.roots.add(own.axes[0])
                prune = self._graph.get_pruner_of_module(module).prune_out_channels
                waiting.append(((node, prune), list(range(own.channels))))
        while waiting:
            port, channels = waiting.pop()
            reached = self._reached.get(port, set())
            if not (new := [channel for channel in channels if channel not in reached]):
                continue
            self._reached[port] = reached | set(new)
            for dependency in port[0].dependencies:
                if dependency.is_triggered_by(port[1]):
                    waiting.append(self._linked(port, dependency, new))

    def _linked(self, port: _Port, dependency: Any, channels: list[int]) -> tuple[_Port, list[int]]:
        target = (dependency.target, dependency.handler)
        mapped = [_Index(channel, channel) for channel in channels]
        try:
            for mapping in dependency.index_mapping:
                mapped = mapped if mapping is None else mapping(mapped)
        except Exception:  # its guess of the sizes was wrong
            mapped = [_Index(self._bound, channel) for channel in channels]
        self._lost.append((port, [one.root_idx for one in mapped if not 0 <= one.idx < self._bound]))
        mapped = [one for one in mapped if 0 <= one.idx < self._bound]
        links = [[one.root_idx for one in mapped], [one.idx for one in mapped]]
        self._links.append((port, target, torch.tensor(links, dtype=torch.int64, device="cpu")))
        return target, [one.idx for one in mapped]

    def _told(self) -> None:
        """Tell what was followed in terms of tensors' axes; a port has an axis of its own."""
        axes = {
            port: Axis(number, PORT, max(reached) + 1)
            for number, (port, reached) in enumerate(self._reached.items())
        }
        for port, target, (sources, targets) in self._links:
            if len(sources):
                self.pairs.append((axes[port], sources, axes[target], targets))
        for port, lost in self._lost:
            self.whole.append((axes[port], torch.tensor(lost, dtype=torch.int64, device="cpu")))
        within = {attention.out_proj for attention in self._attentions}
        for (node, handler), reached in self._reached.items():
            if node.module in within:  # fewer heads call it where torch's own only reads its weight
                continue
            index, axis = torch.tensor(sorted(reached), device="cpu"), axes[node, handler]
            sides = [] if node.type in _WITHOUT_TENSORS else self._sides(node, handler)
            if node in self._unmapped or any(s is None or int(index.max()) >= s.channels for s in sides):
                self.whole.append((axis, index))
            for side in sides:
                for along in side.axes if side is not None else ():
                    self.pairs.append((axis, index, along, index % along.length))

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


def _traced(model: nn.Module, example: Inputs, training: bool) -> tuple[Any, set[Any]]:
    """Build the graph, and the nodes whose change of channels Torch-Pruning cannot tell."""
    graph = torch_pruning.DependencyGraph()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph.build_dependency(
                model,
                example,
                # which puts the network in eval mode just before
                forward_fn=lambda network, inputs: forward_on_copy(network.train(training), inputs),
                output_transform=_of_outputs,
                verbose=False,
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
