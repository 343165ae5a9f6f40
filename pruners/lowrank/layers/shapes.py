"""Shapes of the layers that can be decomposed, and their costs.

Read from shapes alone, so tensors on the meta device will do.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from torch import nn

from pruners.errors import PrunerError, UnknownLayer, nearest
from pruners.network.copying import values_kept
from pruners.network.counting.times_multiplied import (
    AT_OUTPUTS,
    Positions,
    positions_in_calls,
    times_multiplied,
)
from pruners.network.inputs import Inputs, check_example
from pruners.network.layer_names import check_module, matching_layers, named_modules
from pruners.network.readiness import check_initialized, has_own_forward

Counted = TypeVar("Counted")


@dataclass(frozen=True)
class LayerShape:
    """Shape of a Conv2d's weight or a Linear's.

    A Conv2d's is out_channels x in_channels/groups x kernel; a Linear has kernel 1 x 1 and one group. Folded
    to out_channels x (in_channels/groups * k1 * k2) and cut into ``num_subspaces`` slices of consecutive
    input channels (within each group), every slice truncated to the same ``rank`` (Liebenwein et al. 2021,
    section 2).
    """

    out_channels: int
    in_channels: int
    kernel: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def matrix(self) -> tuple[int, int]:
        """Return the rows and columns of one group's folded weight."""
        return self.out_channels // self.groups, self.in_channels // self.groups * self.kernel[
            0
        ] * self.kernel[1]

    @property
    def params(self) -> int:
        """Count the weights of the dense layer, without its bias."""
        return self.out_channels * self.matrix[1]

    @cached_property
    def candidate_subspaces(self) -> tuple[int, ...]:
        """Return every num_subspaces that cuts the input channels of a group evenly, ascending."""
        channels = self.in_channels // self.groups
        return tuple(n for n in range(1, channels + 1) if channels % n == 0)

    def max_rank(self, num_subspaces: int) -> int:
        """Return the rank at which nothing is lost: the shorter side of a slice."""
        rows, columns = self.matrix
        return min(rows, columns // num_subspaces)

    def params_per_rank(self, num_subspaces: int) -> int:
        """Count the weights that each further rank adds to the two layers in this one's place: f k + c k1 k2.

        The number of groups does not matter. The first convolution has groups * num_subspaces * rank filters
        on in_channels / (groups * num_subspaces) channels, the second out_channels filters on num_subspaces *
        rank channels each.
        """
        return self.out_channels * num_subspaces + self.groups * self.matrix[1]

    def largest_saving_rank(self, num_subspaces: int) -> int:
        """Return the largest rank that costs less than the dense layer; 0 where none does.

        It is always below `max_rank`.
        """
        return (self.params - 1) // self.params_per_rank(num_subspaces)

    def rank_step(self, multiple: int, subspaces: Iterable[int]) -> int:
        """Return what this layer's ranks are multiples of.

        That is ``multiple``, or 1 where no such rank saves anything in any of the cuts.
        """
        return multiple if any(self.largest_saving_rank(n) >= multiple for n in subspaces) else 1


class NetworkShape:
    """Every compressible layer of a network: see `compressible_modules`.

    ``layers`` maps a layer's first name to its shape. ``fixed`` holds the layers whose weight another module
    uses too: they stay dense and count in the budget. With an ``example`` input (a batch) multiply-adds can
    be counted as well.
    """

    def __init__(self, model: nn.Module, example: Inputs | None = None) -> None:
        check_module(model)
        check_initialized(model)
        holders = _holders(model)
        self.layers: dict[str, LayerShape] = {}
        self.fixed: dict[str, LayerShape] = {}
        weights: dict[int, int] = {}
        for name, module in compressible_modules(model).items():
            target = self.layers if holders[id(module.weight)] == 1 else self.fixed
            target[name] = shape_of(module)
            weights[id(module.weight)] = module.weight.numel()
        self.params = sum(weights.values())
        """Weights of all compressible layers, a shared one counted once: the base of keep_ratio."""
        if example is not None:
            check_example(example)
        self._times_multiplied: dict[str, int] | None = None
        self._positions: dict[str, Positions] | None = None
        """How often each weight is multiplied, by whomever, and the positions of its own layer's calls."""
        if example is not None:
            modules = compressible_modules(model)
            self._times_multiplied = times_multiplied(model, modules, example)
            self._positions = positions_in_calls(model, modules, example)

    def check_any(self) -> None:
        """Raise PrunerError where the network has no layer that can be decomposed."""
        if not self.layers:
            raise PrunerError(
                "The network has no layer that can be decomposed: a Conv2d or Linear whose weight "
                "is a parameter of its own. "
                "pruners.unreached tells what it has instead."
            )

    def unit_cost(self, name: str, unit: str) -> int:
        """Return what one weight of a decomposed layer costs in ``unit``.

        That is 1 parameter, or as many multiply-adds as its outputs have positions. Where a parent multiplies
        by the weight itself, it does so by the whole one, however the layer is decomposed: that is part of
        `fixed_cost`.
        """
        if unit == "parameters":
            return 1
        return min(self._counted(self._times_multiplied)[name], self.positions(name)[AT_OUTPUTS])

    def positions(self, name: str) -> Positions:
        """Return the positions at which a layer's calls multiply, those of its inputs too.

        Raises PrunerError where there was no example.
        """
        return self._counted(self._positions)[name]

    def total(self, unit: str) -> int:
        """Return the cost of all compressible layers left dense, in parameters or multiply-adds."""
        if unit == "parameters":
            return self.params
        times = self._counted(self._times_multiplied)
        return sum(shape.params * times[name] for name, shape in (self.layers | self.fixed).items())

    def fixed_cost(self, unit: str) -> int:
        """Return the part of `total` that no choice changes.

        It is the layers with shared weights, and the weights that parents multiply by.
        """
        return self.total(unit) - sum(
            shape.params * self.unit_cost(name, unit) for name, shape in self.layers.items()
        )

    @staticmethod
    def _counted(times: dict[str, Counted] | None) -> dict[str, Counted]:
        if times is None:
            raise PrunerError("A budget in multiply-adds (flops_ratio) needs example=, a batch of input.")
        return times

    def named_by(self, patterns: Collection[str], option: str) -> list[str]:
        """Return the layers that names or shell patterns ("layer1.*") mean.

        Raises UnknownLayer for one that means none.
        """
        self.check_names([name for name in patterns if name in self.fixed], option)
        found = matching_layers(patterns, [*self.layers, *self.fixed], option, "compressible layer")
        return [name for name in found if name in self.layers]

    def check_names(self, names: Iterable[str], option: str) -> None:
        """Raise UnknownLayer for the first name that is no compressible layer.

        The message says which option named it.
        """
        for name in names:
            if name in self.fixed:
                raise UnknownLayer(
                    f"{option}: layer {name!r} shares its weight with another module and always stays dense."
                )
            if name not in self.layers:
                raise UnknownLayer(
                    f"{option}: the network has no compressible layer {name!r}{nearest(name, self.layers)}"
                )


def compressible(model: nn.Module) -> dict[str, LayerShape]:
    """Return the shapes of the layers that can be decomposed, by name.

    They are in the order of ``model.named_modules()``.
    """
    return NetworkShape(model).layers


def compressible_modules(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Collect the Conv2d and Linear modules that two thinner layers can stand for, each under its first name.

    Their weight is a plain parameter and their forward torch's own. `nn.MultiheadAttention` multiplies by its
    output projection's weight itself: two factors would save it nothing, so that one is left out.
    """
    read_by_attention = {
        id(m.out_proj)
        for m in model.modules()
        if isinstance(m, nn.MultiheadAttention) and type(m).forward is nn.MultiheadAttention.forward
    }
    return {
        name: module
        for name, module in named_modules(model)
        if isinstance(module, nn.Conv2d | nn.Linear)
        and why_not_decomposable(module) is None
        and id(module) not in read_by_attention
    }


def why_not_decomposable(module: nn.Conv2d | nn.Linear) -> str | None:
    """Say in a clause why a layer cannot be replaced by two thinner ones; None where it can."""
    torchs = nn.Conv2d if isinstance(module, nn.Conv2d) else nn.Linear
    if "weight" not in module._parameters:
        return "its weight is computed"
    own = type(module)
    if has_own_forward(module, torchs):
        return f"{own.__name__} has a forward of its own"
    if module._modules or module._buffers or module._parameters.keys() - {"weight", "bias"}:
        return f"{own.__name__} holds more than a weight and a bias"
    # whoever calls it would not find it on the two layers
    added = [name for name in dir(own) if not name.startswith("__") and not hasattr(torchs, name)]
    return f"{own.__name__} has a {added[0]} that {torchs.__name__} has not" if added else None


def shape_of(module: nn.Conv2d | nn.Linear) -> LayerShape:
    """Return the shape of one layer."""
    if isinstance(module, nn.Linear):
        return LayerShape(module.out_features, module.in_features)
    kernel = (module.kernel_size[0], module.kernel_size[1])
    return LayerShape(module.out_channels, module.in_channels, kernel, module.groups)


def _holders(model: nn.Module) -> Mapping[int, int]:
    """Count the distinct modules that hold each parameter, as theirs or in an attribute, by its id."""
    holders: dict[int, int] = {}
    # a wrapper's list of all parameters does not make them shared
    for _, module in named_modules(model):
        own = [parameter for parameter in module._parameters.values() if parameter is not None]
        kept = [tensor for tensor in values_kept(module) if isinstance(tensor, nn.Parameter)]
        for parameter in {id(parameter) for parameter in own + kept}:
            holders[parameter] = holders.get(parameter, 0) + 1
    return holders
