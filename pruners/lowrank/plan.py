"""What a method chose for each layer, and what that costs."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pruners.lowrank.layers.budget import Budget
from pruners.lowrank.layers.cut import DENSE, ENCODE, Cut
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.layers.steps import params_of


@dataclass(frozen=True)
class LayerChoice:
    """One decomposed layer: its rank and num_subspaces, its error and its weights.

    ``error`` is by the plan's metric; ``params`` are the weights that the layer has then. ``form`` says which
    layers stand for it: one of the foldings of its kernel, ``encode`` being the usual one, ``tucker``, whose
    core has ``rank`` output and ``in_rank`` input channels, ``cp``, or ``kmeans`` or ``projective``: the
    usual folding, its slices clusters of channels.
    """

    rank: int
    num_subspaces: int
    error: float
    params: int
    form: str = ENCODE
    in_rank: int = 0

    @property
    def cut(self) -> Cut:
        """Return what the layer becomes."""
        return Cut(self.rank, self.num_subspaces, self.form, self.in_rank)

    def described(self) -> dict[str, Any]:
        """Describe the choice as JSON-able data; a form other than the usual one only."""
        described = asdict(self)
        if self.form == ENCODE:
            del described["form"]
        if not self.in_rank:
            del described["in_rank"]
        return described


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
    choice: Mapping[str, Cut],
    cost: int,
    method: str,
    metric: str,
    error_of: Callable[[str, Cut], float],
) -> Plan:
    """Return the plan that ``choice`` of this ``cost`` comes to.

    ``error_of`` tells the error of a layer as one cut, by ``metric``.
    """
    layers: dict[str, LayerChoice] = {}
    params = shape.total("parameters")
    for name, cut in choice.items():
        if cut == DENSE:
            continue
        dense = shape.layers[name]
        kept = params_of(dense, cut)
        layers[name] = LayerChoice(
            cut.rank, cut.num_subspaces, error_of(name, cut), kept, cut.form, cut.in_rank
        )
        params -= dense.params - kept
    error = max((layer.error for layer in layers.values()), default=0.0)
    return Plan(method, metric, error, params, cost, budget.limit, budget.unit, layers)
