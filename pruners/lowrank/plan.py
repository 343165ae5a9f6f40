"""What a method chose for each layer, and what that costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pruners.lowrank.layers.budget import Budget
from pruners.lowrank.layers.candidates import DENSE
from pruners.lowrank.layers.shapes import NetworkShape


@dataclass(frozen=True)
class LayerChoice:
    """One decomposed layer: its rank and num_subspaces, its error and its weights.

    ``error`` is by the plan's metric; ``params`` are the weights that the layer has then.
    """

    rank: int
    num_subspaces: int
    error: float
    params: int


@dataclass(frozen=True)
class Plan:
    """What a method chose. ``layers`` left out stay dense; their error is 0.

    ``params`` counts all compressible weights as they become. ``cost`` is the same in the budget's ``unit``,
    parameters or multiply_adds, or the whole network's nanoseconds, and at most ``budget``.
    ``error`` is the largest layer error.
    """

    method: str
    metric: str
    error: float
    params: int
    cost: int
    budget: int
    unit: str
    layers: dict[str, LayerChoice]


def plan_from_choice(
    shape: NetworkShape,
    budget: Budget,
    choice: Mapping[str, tuple[int, int]],
    cost: int,
    method: str,
    metric: str,
    error_of: Callable[[str, int, int], float],
) -> Plan:
    """Return the plan that ``choice``, {layer: (rank, num_subspaces)} of this ``cost``, comes to.

    ``error_of`` tells the error of a layer with a rank and num_subspaces, by ``metric``.
    """
    layers: dict[str, LayerChoice] = {}
    params = shape.total("parameters")
    for name, (rank, num_subspaces) in choice.items():
        if (rank, num_subspaces) == DENSE:
            continue
        dense = shape.layers[name]
        kept = dense.decomposed_params(rank, num_subspaces)
        layers[name] = LayerChoice(rank, num_subspaces, error_of(name, rank, num_subspaces), kept)
        params -= dense.params - kept
    error = max((layer.error for layer in layers.values()), default=0.0)
    return Plan(method, metric, error, params, cost, budget.limit, budget.unit, layers)
