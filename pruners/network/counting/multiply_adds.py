"""Multiply-adds of one forward pass, and in how many of them the elements of a weight take part."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

from pruners.errors import PrunerError
from pruners.network.counting.layer_chain import LayerChain
from pruners.network.forward_pass import batch_that_runs, evaluating_on
from pruners.network.inputs import Inputs, forward_on_copy, join_inputs
from pruners.network.layer_names import unwrapped

_aten = torch.ops.aten
# the two operands of each matrix product
_FACTORS = {
    **dict.fromkeys(
        (_aten.mm, _aten._int_mm, _aten._scaled_mm, _aten.bmm, _aten.mv, _aten.dot, _aten.vdot), (0, 1)
    ),
    **dict.fromkeys((_aten.addmm, _aten._addmm_activation, _aten.addmv, _aten.baddbmm, _aten.addbmm), (1, 2)),
}
_CONVOLUTIONS = (
    _aten.convolution,
    _aten._convolution,
    _aten.cudnn_convolution,
    _aten.convolution_overrideable,
)
# how many of the operands make an element of the result zero where theirs is
_COPIES = {_aten.clone: 1, _aten._to_copy: 1, _aten.div: 1, _aten.mul: 2}
# how many arguments say where elements of the first, a tensor or a list of them, come to lie in the result
_MOVES = {
    **dict.fromkeys(
        (_aten.cat, _aten.stack, _aten.flip, _aten.repeat, _aten.constant_pad_nd, _aten.index), 2
    ),
    **dict.fromkeys((_aten.roll, _aten.rot90, _aten.index_select), 3),
}


@dataclass(frozen=True)
class MultiplyAdds:
    """Multiply-adds of a pass.

    All, those of the chosen elements of each weight, and those of any chosen element.
    """

    total: int
    of_weight: Mapping[str, int]
    chosen: int


def multiply_adds(
    model: nn.Module, example: Inputs, chosen: Mapping[str, tuple[Tensor, Tensor | None]] | None = None
) -> MultiplyAdds:
    """Count the multiply-adds of matrix products and convolutions in eval mode.

    Products of activations are included. Counted is the network as defined: attention off its fused kernels,
    compiled code in eager mode, without wrappers around it. ``chosen`` maps names to a weight and the
    elements of it that are counted (bool, of its shape; None: all). A weight is followed through views,
    copies, joins and products by elements, whichever module uses it. What a `LayerChain` multiplies out for a
    parent that reads its weight is left out. Where a network takes no batch of one, two and three are
    counted: what the third adds is what one costs beside all that no example needs.

    Raises PrunerError, with the layer's name where it can be told, for an example that the network cannot
    take.
    """
    model, chosen = unwrapped(model), chosen or {}
    try:
        return _counted(model, example, chosen)
    except PrunerError:
        two, copies = batch_that_runs(model, example)
        if copies == 1:
            raise
        pair, triple = _counted(model, two, chosen), _counted(model, join_inputs([two, example]), chosen)
        of_weight = {name: 2 * count - triple.of_weight[name] for name, count in pair.of_weight.items()}
        return MultiplyAdds(2 * pair.total - triple.total, of_weight, 2 * pair.chosen - triple.chosen)


def _counted(
    model: nn.Module, example: Inputs, chosen: Mapping[str, tuple[Tensor, Tensor | None]]
) -> MultiplyAdds:
    tracker = _WeightTracker(
        chosen,
        [p for module in model.modules() if isinstance(module, LayerChain) for p in module.parameters()],
    )
    counter = _Counter(tracker.formulas())
    with evaluating_on(model, example), as_defined(), counter:
        forward_on_copy(model, example)
    return MultiplyAdds(counter.operations // 2, tracker.of_weight, tracker.chosen)


@contextmanager
def as_defined() -> Iterator[None]:
    """Run networks as they are defined, in eager mode and off the fused kernels.

    Fused kernels hide the products in them, and compiled code the operations.
    """
    with sdpa_kernel(SDPBackend.MATH), calling_layers():
        yield


@contextmanager
def calling_layers() -> Iterator[None]:
    """Run networks so that each layer is called: in eager mode, without the fast path of torch's encoder."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    compiled = "torch._dynamo" in sys.modules
    try:
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Counter(TorchDispatchMode):
    """A count of the operations of a pass by torch's own formulas and those given, from tensors.

    FlopCounterMode follows modules besides, by hooks that compiled ones warn about.
    """

    supports_higher_order_operators = True

    def __init__(self, formulas: Mapping[Any, Callable[..., int]]) -> None:
        super().__init__()
        self.operations = 0
        self._formulas = {**flop_registry, **formulas}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        op = func if isinstance(func, torch._ops.HigherOrderOperator) else func._overloadpacket
        formula = self._formulas.get(op)
        if formula is None and op is not func:
            with self:
                if (result := func.decompose(*args, **kwargs)) is not NotImplemented:
                    return result
        result = func(*args, **kwargs)
        if formula is not None:
            self.operations += formula(*args, **kwargs, out_val=result)
        return result


class _WeightTracker:
    """The weights, followed through views and copies, and the products in which each takes part."""

    def __init__(self, chosen: Mapping[str, tuple[Tensor, Tensor | None]], factors: Iterable[Tensor]) -> None:
        self.of_weight = dict.fromkeys(chosen, 0)
        self.chosen = 0
        # by storage: its dtype, the weights in it and, in the storage's order, which elements are chosen
        self._marks: dict[int, tuple[torch.dtype, dict[str, Tensor]]] = {}
        self._alive: list[Tensor] = []
        for name, (weight, elements) in chosen.items():
            self._mark(
                weight.detach(),
                {name: torch.ones((), dtype=torch.bool, device="cpu") if elements is None else elements},
            )
        # storages of what layer chains multiply out where a parent reads their weight
        self._factors = {_storage_id(factor) for factor in factors}

    def formulas(self) -> dict[Any, Callable[..., int]]:
        """Return formulas as torch.utils.flop_counter has them: two operations for each multiply-add."""
        counts = {op: self._product(factors) for op, factors in _FACTORS.items()}
        counts |= {op: self._convolution(flop_registry[op]) for op in _CONVOLUTIONS}
        counts |= {op: self._copy(operands) for op, operands in _COPIES.items()}
        counts |= {op: self._move(op, arguments) for op, arguments in _MOVES.items()}
        counts |= {
            _aten._trilinear: _trilinear,
            _aten.mkldnn_rnn_layer: _mkldnn_rnn,
            _aten._cudnn_rnn: _cudnn_rnn,
        }
        return counts

    def _product(self, factors: tuple[int, int]) -> Callable[..., int]:
        def count(*args: Any, out_val: Any, **_: Any) -> int:
            left, right = args[factors[0]], args[factors[1]]
            if _storage_id(left) in self._factors and _storage_id(right) in self._factors:
                self._factors.add(_storage_id(out_val))
                self._alive.append(out_val)
                return 0
            return 2 * self._noted(left.numel() * (right.shape[-1] if right.dim() > 1 else 1), left, right)

        return count

    def _convolution(self, formula: Callable[..., int]) -> Callable[..., int]:
        def count(*args: Any, out_val: Any, **kwargs: Any) -> int:
            return 2 * self._noted(formula(*args, out_val=out_val, **kwargs) // 2, args[0], args[1])

        return count

    def _noted(self, count: int, *operands: Tensor) -> int:
        """Note a product in its operands' weights; every element of an operand takes part equally often."""
        of_operands = []
        for operand in operands:
            marked = {
                name: count // operand.numel() * int(m.count_nonzero())
                for name, m in self._marked(operand).items()
                if count
            }
            for name, part in marked.items():
                self.of_weight[name] += part
            of_operands.append(sum(marked.values()))
        # of a product of two weights the larger part at least: never more than there are
        self.chosen += max(of_operands)
        return count

    def _copy(self, operands: int) -> Callable[..., int]:
        def follow(*args: Any, out_val: Tensor, **_: Any) -> int:
            if operands == 1 and _storage_id(args[0]) in self._factors:
                self._factors.add(_storage_id(out_val))
                self._alive.append(out_val)
            for operand in args[:operands]:
                if (
                    isinstance(operand, Tensor)
                    and operand.shape == out_val.shape
                    and (marked := self._marked(operand))
                ):
                    self._mark(out_val, marked)
                    break
            return 0

        return follow

    def _move(self, op: Any, arguments: int) -> Callable[..., int]:
        def follow(first: Any, *args: Any, out_val: Tensor, **_: Any) -> int:
            parts = [first] if isinstance(first, Tensor) else first
            marks = [self._marked(part) for part in parts]
            for name in {name: None for marked in marks for name in marked}:
                moved = [
                    m.get(name, torch.zeros(t.shape, dtype=torch.bool, device="cpu"))
                    for m, t in zip(marks, parts, strict=True)
                ]
                where = tree_map_only(Tensor, Tensor.cpu, args[: arguments - 1])
                self._mark(out_val, {name: op(moved[0] if parts is not first else moved, *where)})
            return 0

        return follow

    def _marked(self, tensor: Tensor) -> dict[str, Tensor]:
        """Return the chosen elements of each weight, in the form of a tensor that shares its storage."""
        dtype, marks = self._marks.get(_storage_id(tensor), (tensor.dtype, {}))
        if dtype != tensor.dtype:
            return {}
        return {
            name: mark.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
            for name, mark in marks.items()
        }

    def _mark(self, tensor: Tensor, elements: Mapping[str, Tensor]) -> None:
        storage = tensor.untyped_storage()
        _, marks = self._marks.setdefault(_storage_id(tensor), (tensor.dtype, {}))
        self._alive.append(tensor)  # its storage's place is not taken by another's meanwhile
        for name, chosen in elements.items():
            mark = torch.zeros(storage.nbytes() // tensor.element_size(), dtype=torch.bool, device="cpu")
            mark.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).copy_(chosen)
            marks[name] = mark


def _storage_id(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _trilinear(*args: Any, out_val: Any, **_: Any) -> int:
    """Count nn.Bilinear: each weight once for each example."""
    shapes = []
    for tensor, expanded in zip(args[:3], args[3:6], strict=True):
        for dimension in sorted(expanded):
            tensor = tensor.unsqueeze(dimension)
        shapes.append(tensor.shape)
    return 2 * prod(torch.broadcast_shapes(*shapes))


def _mkldnn_rnn(inputs: Tensor, of_input: Tensor, of_hidden: Tensor, *_: Any, out_val: Any, **__: Any) -> int:
    return 2 * prod(inputs.shape[:-1]) * (of_input.numel() + of_hidden.numel())


def _cudnn_rnn(inputs: Tensor, weights: list[Tensor], *_: Any, out_val: Any, **__: Any) -> int:
    return 2 * prod(inputs.shape[:-1]) * sum(weight.numel() for weight in weights if weight.dim() > 1)
