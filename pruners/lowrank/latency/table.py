"""How long each layer of a network takes over its options, on the device of an example."""

from collections.abc import Mapping
from copy import deepcopy
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pruners.latency.layer_times import LayerTimes, Substitute
from pruners.latency.tables import LatencyTables, in_memory
from pruners.lowrank.decompose import decompose, weights_from_factors
from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import CLUSTERINGS, FORMS, Cut
from pruners.lowrank.layers.folding import folded_shape
from pruners.lowrank.layers.shapes import LayerShape, compressible_modules, shape_of
from pruners.network.inputs import Inputs

_RANKS = 5
"""Ranks of a number of subspaces that are timed, evenly spaced on a logarithmic scale."""


class LatencyTable:
    """Nanoseconds of a network and of its layers, dense and decomposed, in eval mode.

    Ranks between those timed are interpolated, and a larger one never takes less. Once a layer of rank 1 is
    no faster than the dense one, more subspaces, which only add to its work, are not measured: none of them
    is worth looking at. What is not known yet is measured when it is asked for, and kept in ``tables``.
    """

    def __init__(self, model: nn.Module, example: Inputs, tables: LatencyTables = in_memory) -> None:
        layers = compressible_modules(model)
        self._shapes = {name: shape_of(layer) for name, layer in layers.items()}
        self._times = LayerTimes(model, example, layers, tables)

    @property
    def network(self) -> int:
        """Return what the whole pass takes."""
        return self._times.network

    @property
    def dense(self) -> dict[str, int]:
        """Return what each layer takes dense."""
        return self._times.dense

    @property
    def rest(self) -> int:
        """Return what the network takes besides its compressible layers, 0 at least."""
        return self._times.rest

    @property
    def total(self) -> int:
        """Return the time of the network left dense."""
        return self._times.total

    def nanoseconds(self, name: str, candidates: Candidates) -> NDArray[np.int64]:
        """Return what each option of a layer takes."""
        dense = self.dense[name]
        times = np.full(len(candidates.ranks), dense, dtype=np.int64)
        if not dense:
            return times
        cuts = np.stack([candidates.forms, candidates.subspaces])[:, candidates.subspaces > 0]
        slow: dict[int, int] = {}
        for form, number in np.unique(cuts, axis=1).T.tolist():
            rows = (candidates.forms == form) & (candidates.subspaces == number)
            if form in slow:
                times[rows] = slow[form]
                continue
            ranks, known = self._timed(name, FORMS[form], number)
            times[rows] = np.rint(np.interp(candidates.ranks[rows], ranks, known))
            if known[0] >= dense:
                slow[form] = known[0]
        return times

    def _timed(self, name: str, form: str, num_subspaces: int) -> tuple[NDArray[np.int64], list[int]]:
        shape = self._shapes[name]
        most = folded_shape(shape, form).largest_saving_rank(num_subspaces)
        ranks = np.unique(np.rint(np.geomspace(1, most, _RANKS))).astype(np.int64)
        cuts = {str(rank): Cut(rank, num_subspaces, form) for rank in ranks.tolist()}
        part = f"{form} in {num_subspaces}"
        found = self._times.substitutes(part, name, partial(_pairs, cuts))
        measured = [found[str(rank)] for rank in ranks.tolist()]
        return ranks, np.maximum.accumulate(measured).tolist()


def _pairs(cuts: Mapping[str, Cut], layer: nn.Module) -> dict[str, Substitute]:
    """Return what a layer becomes by each cut, with weights of ones."""
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    shape = shape_of(layer)
    return {key: Substitute(_pair(layer, shape, cut), shape.in_channels) for key, cut in cuts.items()}


def _pair(layer: nn.Conv2d | nn.Linear, shape: LayerShape, cut: Cut) -> nn.Module:
    pair = deepcopy(layer).eval()
    rank, num_subspaces = cut[:2]
    rows, columns = folded_shape(shape, cut.form).matrix
    left = pair.weight.new_ones(shape.groups, num_subspaces, rows, rank)
    right = pair.weight.new_ones(shape.groups, num_subspaces, rank, columns // num_subspaces)
    weights = weights_from_factors(shape, isinstance(pair, nn.Linear), left, right, cut.form)
    reorders = cut.form in CLUSTERINGS
    order = torch.arange(shape.in_channels, dtype=torch.int32).flip(0) if reorders else None
    decompose(pair, weights, cut, order)
    return pair
