"""The options of one layer: what saves something, and staying dense.

Every rank of every candidate num_subspaces counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruners.errors import PrunerError
from pruners.lowrank.layers.budget import floor_of_share
from pruners.lowrank.layers.cut import DENSE, ENCODE, FORMS, TUCKER, Cut
from pruners.lowrank.layers.folding import folded_shape, foldings_of
from pruners.lowrank.layers.shapes import LayerShape, NetworkShape
from pruners.lowrank.layers.steps import params_of
from pruners.option_values import ByLayer, Fields, Whole

Integers = NDArray[np.int64]

PINS = ByLayer(Fields({"rank": Whole(1), "num_subspaces": Whole(1)}), "layer names to rank and num_subspaces")
"""What layers are set to outright."""

_MOST_CLUSTERS = 128


@dataclass(frozen=True, eq=False)
class Candidates:
    """Parallel arrays, one row an option: rank and num_subspaces (both 0: dense) and the weights it has.

    Once `priced`, ``params`` holds what the option costs in the budget's unit. ``forms`` are places in
    `FORMS`; one of Tucker has as many input channels in its core as output channels.
    """

    ranks: Integers
    subspaces: Integers
    params: Integers
    forms: Integers

    def cut(self, row: int) -> Cut:
        """Return one option."""
        rank, form = int(self.ranks[row]), FORMS[self.forms[row]]
        return Cut(rank, int(self.subspaces[row]), form, rank if form == TUCKER else 0)

    def priced(self, costs: Sequence[int] | Integers) -> "Candidates":
        """Return the same options with what they cost in the place of their weights."""
        return Candidates(self.ranks, self.subspaces, np.asarray(costs, dtype=np.int64), self.forms)


@dataclass(frozen=True)
class DensityBounds:
    """Allowed share of a layer's own weights; a dense layer has density 1."""

    least: float = 0.0
    most: float = 1.0


@lru_cache(maxsize=4096)
def layer_candidates(
    shape: LayerShape,
    subspaces: tuple[int, ...],
    density: DensityBounds = DensityBounds(),
    rank_multiple: int = 1,
) -> Candidates:
    """List the options of a layer with one of ``subspaces``, within ``density``; possibly none.

    ``density`` bounds the share of the weights that they keep. Ranks are multiples of ``rank_multiple``; of a
    layer too small for one, any.
    """
    step = shape.rank_step(rank_multiple, subspaces)
    ranks = [np.arange(step, shape.largest_saving_rank(n) + 1, step) for n in subspaces]
    params = [r * shape.params_per_rank(n) for r, n in zip(ranks, subspaces, strict=True)]
    rows = np.column_stack(
        [
            np.concatenate([*ranks, [0]]),
            np.concatenate([np.repeat(subspaces, [len(r) for r in ranks]), [0]]),
            np.concatenate([*params, [shape.params]]),
        ]
    ).astype(np.int64)
    least, most = -floor_of_share(-density.least, shape.params), floor_of_share(density.most, shape.params)
    rows = rows[(rows[:, 2] >= least) & (rows[:, 2] <= most)]
    return Candidates(rows[:, 0], rows[:, 1], rows[:, 2], np.full(len(rows), FORMS.index(ENCODE)))


@lru_cache(maxsize=4096)
def folded_candidates(
    shape: LayerShape,
    folding: str,
    subspaces: tuple[int, ...],
    density: DensityBounds = DensityBounds(),
    rank_multiple: int = 1,
) -> Candidates:
    """List the options of a layer in one folding, or in all that `foldings_of` has; as `layer_candidates`."""
    forms = foldings_of(shape, folding)
    parts = [layer_candidates(folded_shape(shape, f), subspaces, density, rank_multiple) for f in forms]
    if forms == (ENCODE,):
        return parts[0]
    places = [np.where(part.subspaces > 0, FORMS.index(f), 0) for f, part in zip(forms, parts, strict=True)]
    # staying dense is one option, the first folding's
    once = [part.subspaces > (0 if number else -1) for number, part in enumerate(parts)]

    def joined(columns: Iterable[Integers]) -> Integers:
        return np.concatenate([column[rows] for column, rows in zip(columns, once, strict=True)])

    return Candidates(
        joined(part.ranks for part in parts),
        joined(part.subspaces for part in parts),
        joined(part.params for part in parts),
        joined(places),
    )


@lru_cache(maxsize=4096)
def clustered_candidates(
    shape: LayerShape,
    clustering: str,
    subspaces: tuple[int, ...],
    density: DensityBounds = DensityBounds(),
    rank_multiple: int = 1,
) -> Candidates:
    """List the options of a layer with clusters of input channels for slices; else as `layer_candidates`.

    Slices stay what they are where all channels are in one or each in its own, in more than 128, and of a
    layer with groups.
    """
    options = layer_candidates(shape, subspaces, density, rank_multiple)
    most = min(shape.in_channels - 1, _MOST_CLUSTERS) if shape.groups == 1 else 0
    clustered = (options.subspaces > 1) & (options.subspaces <= most)
    forms = np.where(clustered, FORMS.index(clustering), options.forms)
    return Candidates(options.ranks, options.subspaces, options.params, forms)


def pinned_candidate(name: str, shape: LayerShape, pin: Mapping[str, Any]) -> Candidates:
    """Return the single option of a pinned layer. A pin that would save nothing leaves the layer dense."""
    rank, num_subspaces = check_pin(name, shape, pin)
    if rank > shape.largest_saving_rank(num_subspaces):
        return dense_candidate(shape)
    return candidates_of(shape, [Cut(rank, num_subspaces)])


def dense_candidate(shape: LayerShape) -> Candidates:
    """Return the single option of an excluded layer."""
    return candidates_of(shape, [DENSE])


def candidates_of(shape: LayerShape, cuts: Sequence[Cut]) -> Candidates:
    """Return these options of a layer, as they are."""
    columns = (
        [cut.rank for cut in cuts],
        [cut.num_subspaces for cut in cuts],
        [params_of(shape, cut) for cut in cuts],
        [FORMS.index(cut.form) for cut in cuts],
    )
    return Candidates(*(np.array(column, dtype=np.int64) for column in columns))


def check_pin(name: str, shape: LayerShape, pin: Mapping[str, Any]) -> tuple[int, int]:
    """Return the rank and num_subspaces of a pin.

    Raises PrunerError where they are no positive integers or do not cut the channels evenly.
    """
    checked = PINS.checked({name: pin}, "layers")[name]
    rank, num_subspaces = checked["rank"], checked["num_subspaces"]
    if num_subspaces not in shape.candidate_subspaces:
        channels = shape.in_channels // shape.groups
        raise PrunerError(
            f"layers: num_subspaces of layer {name!r} must divide its {channels} input channels, "
            f"{num_subspaces} does not."
        )
    return rank, num_subspaces


def check_not_empty(shape: NetworkShape, names: Iterable[str]) -> None:
    """Raise PrunerError for the first of these layers that has no weights."""
    for name in names:
        if not shape.layers[name].params:
            raise PrunerError(f"Layer {name!r} has no weights (0 channels); exclude it.")


def least_cost(shape: NetworkShape, candidates: Mapping[str, Candidates], unit: str) -> int:
    """Return the least that all compressible weights can cost: every layer takes its cheapest option.

    ``candidates`` are priced in the same unit.
    """
    return sum(int(c.params.min()) for c in candidates.values()) + shape.fixed_cost(unit)
