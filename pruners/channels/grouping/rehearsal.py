"""Whether channels can go: the network without them computes what it does with zeros in their place."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._pytree import tree_leaves

from pruners.channels.cutting import Kept, Numbers, cut, groups_left, zeroed
from pruners.errors import PrunerError
from pruners.network.copying import copied
from pruners.network.counting.multiply_adds import as_defined
from pruners.network.forward_pass import batch_that_runs
from pruners.network.inputs import Inputs, forward_on_copy, join_inputs, map_tensors
from pruners.network.layer_names import named_buffers, named_modules, named_parameters, unwrapped
from pruners.network.seeding import seeded

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-4}
"""Of the largest output, for float64, and for networks that cannot be run in it."""


class Rehearsal:
    """A copy of a network with random weights, on which removals are tried out.

    What can go so depends on the architecture alone, and a weight that happens to be zero hides nothing. A
    network on the meta device is rehearsed on the CPU.
    """

    def __init__(self, model: nn.Module, example: Inputs) -> None:
        self.network = _with_random_weights(unwrapped(model))
        self.example, _ = batch_that_runs(self.network, _with_values(example))
        self._tolerance = _TOLERANCES[torch.float32]
        exact = _in_double(self.network)
        try:
            example, _ = batch_that_runs(exact, map_tensors(_double, self.example))
            self.network, self.example, self._tolerance = exact, example, _TOLERANCES[torch.float64]
        except PrunerError:
            pass  # it makes float32 tensors of its own
        self.network.eval()
        self.trains_otherwise = self._trains_otherwise()

    def traced(self) -> tuple[nn.Module, Inputs, bool]:
        """Return a network whose autograd graph can be followed, its input, and whether in train mode.

        That is where it has outputs there that it has not in eval mode, of auxiliary classifiers.
        """
        for parameter in self.network.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        inputs = self._two() if self.trains_otherwise else self.example
        return self._lent(), inputs, self.trains_otherwise

    def agrees(self, kept: Kept, numbers: Numbers) -> bool:
        """Tell whether the network cut to ``kept`` computes what it does with zeros in place of the rest.

        ``numbers`` are those that change beside convolutions' groups.
        """
        theirs = _outputs(zeroed(self.network, kept, share=True), self.example)
        try:
            small = cut(self.network, kept, groups_left(self.network, kept) | dict(numbers), share=True)
            ours = _outputs(small, self.example)
            if self.trains_otherwise:
                _outputs(small.train(), self._two())
        except Exception:  # whatever a network's code raises at other sizes than it was written for
            return False
        return len(ours) == len(theirs) and all(map(self._same, ours, theirs))

    def _lent(self) -> nn.Module:
        """Return a copy with the same parameters, and buffers of its own."""
        return copied(self.network, {id(parameter): parameter for parameter in self.network.parameters()})

    def _same(self, one: Tensor, other: Tensor) -> bool:
        if one.shape != other.shape or not bool(other.isfinite().all()):
            return False
        scale = float(other.abs().max()) if other.numel() else 0.0
        return not other.numel() or float((one - other).abs().max()) <= self._tolerance * scale

    def _trains_otherwise(self) -> bool:
        try:
            trained = _outputs(self._lent().train(), self._two())
        except Exception:  # its training is its own affair
            return False
        return len(trained) != len(_outputs(self.network, self.example))

    def _two(self) -> Inputs:
        joined: Inputs = join_inputs([self.example, self.example])
        return joined


def removable(candidates: list[str], agrees: Callable[[list[str]], bool]) -> list[str]:
    """Return those of the candidates that can go, all of them together, by as few trials as may be.

    All are tried at once, then halves of what does not agree.
    """
    return _with(candidates, [], agrees) if candidates else []


def _with(candidates: list[str], known: list[str], agrees: Callable[[list[str]], bool]) -> list[str]:
    if agrees([*known, *candidates]):
        return [*known, *candidates]
    if len(candidates) == 1:
        return known
    half = len(candidates) // 2
    return _with(candidates[half:], _with(candidates[:half], known, agrees), agrees)


def _outputs(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    with torch.no_grad(), as_defined(), seeded(0, model):
        outputs = forward_on_copy(model, inputs)
    return [leaf.double() for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]


def _with_random_weights(model: nn.Module) -> nn.Module:
    """Copy a network with weights that keep activations about as large as they are."""
    tensors: Mapping[str, Tensor] = named_parameters(model) | named_buffers(model)
    if any(tensor.is_meta for tensor in tensors.values()):
        network = deepcopy(model).to_empty(device="cpu")
        for buffer in network.buffers():
            buffer.zero_()
    else:
        empty = {
            id(t): nn.Parameter(torch.empty_like(t), requires_grad=False)
            for t in named_parameters(model).values()
            if t.is_floating_point()
        }
        network = copied(model, empty)
    generator = torch.Generator().manual_seed(0)

    def fill(tensor: Tensor | None, draw: Callable[[Any], Tensor]) -> None:
        if tensor is not None and tensor.is_floating_point():
            tensor.copy_(draw(tensor.shape))

    def uniform(low: float, high: float) -> Callable[[Any], Tensor]:
        return lambda shape: low + (high - low) * torch.rand(shape, generator=generator, device="cpu")

    with torch.no_grad():
        for parameter in network.parameters():
            inputs = parameter.numel() // max(1, len(parameter)) if parameter.dim() > 1 else 100
            fill(
                parameter,
                lambda shape, inputs=inputs: (  # type: ignore[misc]
                    torch.randn(shape, generator=generator, device="cpu") * (2 / max(1, inputs)) ** 0.5
                ),
            )
        for _, module in named_modules(network):
            if isinstance(module, _NORMS):
                fill(module.weight, uniform(0.5, 1.5))
            if isinstance(module, _NormBase):
                fill(module.running_mean, uniform(-0.2, 0.2))
                fill(module.running_var, uniform(0.5, 1.5))
    return network.requires_grad_(False)


def _in_double(model: nn.Module) -> nn.Module:
    doubled: dict[int, Tensor] = {}
    for tensor in (named_parameters(model) | named_buffers(model)).values():
        if tensor.is_floating_point():
            double = tensor.detach().double()
            parameter = isinstance(tensor, nn.Parameter)
            doubled[id(tensor)] = nn.Parameter(double, requires_grad=False) if parameter else double
    return copied(model, doubled)


def _with_values(example: Inputs) -> Inputs:
    changed: Inputs = map_tensors(
        lambda tensor: torch.ones_like(tensor, device="cpu") if tensor.is_meta else tensor, example
    )
    return changed


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
