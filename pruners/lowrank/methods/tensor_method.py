"""What the methods share that decompose a kernel as a tensor."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pruners.lowrank.layers.candidates import Candidates, candidates_of
from pruners.lowrank.layers.cut import DENSE, Cut
from pruners.lowrank.layers.shapes import LayerShape, NetworkShape
from pruners.lowrank.layers.steps import saves
from pruners.lowrank.methods.rank_method import EXCLUDE, AllocationProblem, RankMethod, excluding
from pruners.method import Option


class TensorMethod(RankMethod):
    """A way that decomposes kernels as tensors, and 1 x 1 kernels and Linears by a truncated SVD.

    Groups are decomposed each by itself, with the same ranks. There is no refit to calibration images.
    """

    refits = False
    timed = False
    options: ClassVar[tuple[Option, ...]] = (EXCLUDE,)

    def metric(self, options: Mapping[str, Any]) -> str:
        """Return the metric that layer errors are told in: the one that these decompositions minimise."""
        return "frobenius"

    def error_of(self, problem: AllocationProblem, layer: str, cut: Cut, options: Mapping[str, Any]) -> float:
        """Return the relative error in the Frobenius norm that the decomposition reaches."""
        spectra = problem.spectra.layers[layer]
        return self.factoring(options, problem.seed).errors(spectra, cut)[self.metric(options)]

    @abstractmethod
    def cheapest(self, shape: LayerShape) -> Cut:
        """Return the least that a layer can become."""

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return each layer's cheapest option where it saves something, and dense; `choose` finds others."""
        options_of, free = excluding(shape, options["exclude"])
        for name in free:
            layer = shape.layers[name]
            cheapest = self.cheapest(layer)
            options_of[name] = candidates_of(layer, [cheapest, DENSE] if saves(layer, cheapest) else [DENSE])
        return {name: options_of[name] for name in shape.layers}


def free_layers(problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, LayerShape]:
    """Return the layers that are not excluded, by name."""
    excluded = problem.shape.named_by(options["exclude"], "exclude")
    return {name: layer for name, layer in problem.shape.layers.items() if name not in excluded}
