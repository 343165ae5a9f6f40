"""How many weights each layer, or all layers together, may keep."""

from collections.abc import Mapping
from dataclasses import dataclass

from pruners.errors import InfeasibleBudget, PrunerError
from pruners.option_values import Whole
from pruners.sparse.selection.counts import as_share, divided, exact_share, kept
from pruners.sparse.selection.prunable import PrunableLayer
from pruners.sparse.selection.shared_options import BY_IMAGES, SelectionOptions


@dataclass(frozen=True)
class Pool:
    """Layers, by name, whose weights compete for ``keep`` places."""

    layers: tuple[str, ...]
    keep: int


def allocated_pools(
    layers: Mapping[str, PrunableLayer],
    alive: Mapping[str, int],
    selection: SelectionOptions,
    keep_ratio: float | None,
    budget: int | None,
) -> list[Pool]:
    """Allocate a budget to pools of layers; ``alive`` is how many weights each layer still has.

    A layer with a share of its own keeps exactly ceil(share * its weights), or ``min_layer_keep`` where that
    is more, and is a pool by itself. The others keep exactly ceil(keep_ratio * their weights), or what the
    former leave of ``budget``, together. They are one pool (global; lamp, whose scores are
    `pruners.sparse.selection.lamp`'s; measured and owl, by which `pruners.sparse.curves` and
    `pruners.sparse.selection.owl` then divide it) or one each, with this total divided in proportion to

    - layerwise: the layer's weights, so that the densities are equal up to rounding by largest remainder;
    - erk: the sum of the sides of the weight's tensor, which makes the density proportional to (n_in + n_out
      + height + width) / (n_in n_out height width), full layers apart (Erdős-Rényi-Kernel: Evci, Gale,
      Menick, Castro, Elsen: Rigging the Lottery, ICML 2020, arXiv 1911.11134, section 3). A grouped
      convolution counts the input channels of one group.

    Layers that would keep more than they have, or less than ``min_layer_keep``, keep that, and the others
    share the difference. Raises PrunerError: InfeasibleBudget where ``min_layer_keep`` needs more, another
    where more is asked for than there is.
    """
    least = {name: min(selection.min_layer_keep, alive[name]) for name in layers}
    own = {
        name: max(kept(share, layers[name].params), least[name]) for name, share in selection.shares.items()
    }
    for name, count in own.items():
        _check_alive(count, alive[name], f"layer_keep_ratio asks for {count} weights of layer {name!r}")
    free = [name for name in layers if name not in own]
    count = _count(sum(layers[name].params for name in free), sum(own.values()), keep_ratio, budget)
    _check_least(
        count, sum(least[n] for n in free), sum(layers[n].params for n in free), sum(own.values()), keep_ratio
    )
    _check_alive(
        count,
        sum(alive[n] for n in free),
        f"The budget asks for {count} weights{' of the other layers' if own else ''}",
    )
    single = [Pool((name,), keep) for name, keep in own.items()]
    if selection.allocation in ("global", "lamp", *BY_IMAGES):
        return [*single, Pool(tuple(free), count)] if free else single
    parts = [
        layers[name].params if selection.allocation == "layerwise" else sum(layers[name].shape)
        for name in free
    ]
    counts = divided(count, parts, [least[name] for name in free], [alive[name] for name in free])
    return single + [Pool((name,), keep) for name, keep in zip(free, counts, strict=True)]


def _count(weights: int, taken: int, keep_ratio: float | None, budget: int | None) -> int:
    """Count what layers without a share of their own keep of ``weights``; the others keep ``taken``."""
    if (keep_ratio is None) == (budget is None):
        raise PrunerError("Give exactly one of keep_ratio and budget.")
    if keep_ratio is not None:
        return kept(exact_share(keep_ratio, "keep_ratio"), weights)
    return Whole(1, of="weights").checked(budget, "budget") - taken


def _check_least(count: int, least: int, weights: int, taken: int, keep_ratio: float | None) -> None:
    if count >= least:
        return
    possible = as_share(least, weights) if keep_ratio is not None else least + taken
    asked = f"min_layer_keep needs {least} weights" if least else "layer_keep_ratio alone keeps more"
    name = "keep_ratio" if keep_ratio is not None else "budget"
    raise InfeasibleBudget(
        f"The budget leaves {count} weights and {asked}; the least possible {name} is {possible}.", possible
    )


def _check_alive(count: int, alive: int, asked: str) -> None:
    if count > alive:
        raise PrunerError(f"{asked}, but only {alive} are left to keep.")
