"""How long each layer of a network takes over its options, on the device of an example."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pruners.lowrank.decompose import decompose, weights_from_factors
from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import CLUSTERINGS, FORMS, Cut
from pruners.lowrank.layers.folding import folded_shape
from pruners.lowrank.layers.shapes import compressible_modules, shape_of
from pruners.network.counting.multiply_adds import as_defined
from pruners.network.forward_pass import batch_that_runs, evaluating
from pruners.network.inputs import (
    Inputs,
    forward,
    forward_on_copy,
    input_tensors,
    inputs_device,
    layer_input,
    map_tensors,
)
from pruners.network.layer_names import check_module, named_parameters
from pruners.network.readiness import check_has_values
from pruners.network.seeding import seeded
from pruners.network.timing import median_seconds

_RANKS = 5
"""Ranks of a number of subspaces that are timed, evenly spaced on a logarithmic scale."""
_REPEATS = 7


class LatencyTable:
    """Median nanoseconds of a network and of its layers, dense and decomposed, in eval mode.

    Each layer is timed by itself on what it is given in a pass of the example; between timed ranks the time
    is interpolated. ``network`` is the time of the whole pass, ``dense`` that of each layer. A layer that is
    called several times counts as often, one that is not called takes no time. What is not known yet is
    measured when it is asked for, and kept.
    """

    def __init__(self, model: nn.Module, example: Inputs) -> None:
        batch, self._copies = batch_that_runs(model, example)
        self._device = inputs_device(example)
        layers = compressible_modules(model)
        self._inputs: dict[str, list[Tensor]] = {}
        hooks = [
            layer.register_forward_pre_hook(self._noting(name), with_kwargs=True)
            for name, layer in layers.items()
        ]
        try:
            with evaluating(model), as_defined():
                forward_on_copy(model, batch)
        finally:
            for hook in hooks:
                hook.remove()
        # of layers with their inputs alone: the network itself is not kept alive
        self._layers = {name: deepcopy(layers[name]).eval() for name in self._inputs}
        batch = map_tensors(torch.clone, batch)  # which the network may change
        with evaluating(model):
            seconds = median_seconds(lambda: forward(model, batch), self._device, _REPEATS)
        self.network = self._nanoseconds(seconds)
        self.dense = {name: self._time(name, layer) for name, layer in layers.items()}
        self._decomposed: dict[tuple[str, str, int], tuple[NDArray[np.int64], list[int]]] = {}

    @property
    def rest(self) -> int:
        """Return what the network takes besides its compressible layers, 0 at least."""
        return max(0, self.network - sum(self.dense.values()))

    def nanoseconds(self, name: str, candidates: Candidates) -> NDArray[np.int64]:
        """Return what each option of a layer takes."""
        times = np.full(len(candidates.ranks), self.dense[name], dtype=np.int64)
        if name in self._layers:
            cuts = np.stack([candidates.forms, candidates.subspaces])
            for form, number in np.unique(cuts[:, candidates.subspaces > 0], axis=1).T.tolist():
                rows = (candidates.forms == form) & (candidates.subspaces == number)
                ranks, known = self._timed(name, FORMS[form], number)
                times[rows] = np.rint(np.interp(candidates.ranks[rows], ranks, known))
        return times

    def _timed(self, name: str, form: str, num_subspaces: int) -> tuple[NDArray[np.int64], list[int]]:
        key = name, form, num_subspaces
        if key not in self._decomposed:
            folded = folded_shape(shape_of(self._layers[name]), form)
            most = folded.largest_saving_rank(num_subspaces)
            ranks = np.unique(np.rint(np.geomspace(1, most, _RANKS))).astype(np.int64)
            cuts = [Cut(rank, num_subspaces, form) for rank in ranks.tolist()]
            times = [self._time(name, self._pair(name, cut)) for cut in cuts]
            self._decomposed[key] = ranks, times
        return self._decomposed[key]

    def _pair(self, name: str, cut: Cut) -> nn.Module:
        pair = deepcopy(self._layers[name])
        shape, (rank, num_subspaces) = shape_of(pair), cut[:2]
        rows, columns = folded_shape(shape, cut.form).matrix
        left = pair.weight.new_ones(shape.groups, num_subspaces, rows, rank)
        right = pair.weight.new_ones(shape.groups, num_subspaces, rank, columns // num_subspaces)
        weights = weights_from_factors(shape, isinstance(pair, nn.Linear), left, right, cut.form)
        order = (
            torch.arange(shape.in_channels, dtype=torch.int32).flip(0) if cut.form in CLUSTERINGS else None
        )
        decompose(pair, weights, cut, order)
        return pair

    def _time(self, name: str, layer: nn.Module) -> int:
        times = []
        for inputs in self._inputs.get(name, []):
            with torch.no_grad():
                times.append(median_seconds(partial(layer, inputs), self._device, _REPEATS))
        return self._nanoseconds(sum(times))

    def _nanoseconds(self, seconds: float) -> int:
        return round(1e9 * seconds / self._copies)

    def _noting(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def note(layer: nn.Module, inputs: tuple[Any, ...], by_name: dict[str, Any]) -> None:
            self._inputs.setdefault(name, []).append(layer_input(inputs, by_name).detach().clone())

        return note


def latency_table_of(model: nn.Module, example: Inputs) -> LatencyTable:
    """Return the network's kept table for examples of this shape on this device, made where there is none.

    It is made anew where parameters are of other shapes, dtypes or memory formats than before. One table
    serves all budgets, so that these agree with each other though times never do. Raises PrunerError for a
    network without values.
    """
    check_module(model)
    check_has_values(model)
    tables = _kept.setdefault(model, {})
    shapes = [(tuple(tensor.shape), tensor.dtype) for tensor in input_tensors(example)]
    layers = {name: shape_of(layer) for name, layer in compressible_modules(model).items()}
    parameters = [(n, tuple(p.shape), p.stride(), p.dtype) for n, p in named_parameters(model).items()]
    key = repr((shapes, inputs_device(example), layers, parameters))
    if key not in tables:
        with seeded(0, model):  # it may draw random numbers, and others are not to notice
            tables[key] = LatencyTable(model, example)
    return tables[key]


_kept: WeakKeyDictionary[nn.Module, dict[str, LatencyTable]] = WeakKeyDictionary()
