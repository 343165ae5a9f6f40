"""What the options of a network's layers cost in the unit of a budget."""

from collections.abc import Mapping

import numpy as np

from pruners.lowrank.layers.candidates import Candidates
from pruners.lowrank.layers.cut import CLUSTERINGS, ENCODE, FOLDINGS, FORMS, Cut
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.layers.steps import params_of, steps_of

_AT_OUTPUTS = (ENCODE, *CLUSTERINGS)


def cost_of(shape: NetworkShape, layer: str, cut: Cut, unit: str) -> int:
    """Return what a layer costs as this cut, in parameters or multiply_adds.

    Of the usual folding both of a convolution's layers work at the positions of its outputs. A layer that
    leaves a side of the kernel to later ones works, along that side, at the positions of the inputs.
    """
    dense, weight = shape.layers[layer], shape.unit_cost(layer, unit)
    if unit == "parameters" or cut.form in _AT_OUTPUTS or not weight:
        return params_of(dense, cut) * weight
    height, width, total = False, False, 0
    for step in steps_of(dense, cut):
        height, width = height or step.spans[0], width or step.spans[1]
        total += step.params * shape.positions(layer)[height, width]
    return total


def priced(shape: NetworkShape, candidates: Mapping[str, Candidates], unit: str) -> dict[str, Candidates]:
    """Return every layer's options with their cost in parameters or multiply_adds."""
    if unit == "parameters":
        return dict(candidates)
    return {name: _priced(shape, name, options, unit) for name, options in candidates.items()}


def _priced(shape: NetworkShape, layer: str, options: Candidates, unit: str) -> Candidates:
    weight = shape.unit_cost(layer, unit)
    costs = options.params * weight
    for form in np.unique(options.forms):
        if (name := FORMS[form]) in _AT_OUTPUTS:
            continue
        for number in np.unique(options.subspaces[options.forms == form]).tolist():
            rows = (options.forms == form) & (options.subspaces == number)
            if name in FOLDINGS:  # in proportion to the rank
                costs[rows] = options.ranks[rows] * cost_of(shape, layer, Cut(1, number, name), unit)
            else:
                costs[rows] = [
                    cost_of(shape, layer, options.cut(row), unit) for row in np.flatnonzero(rows).tolist()
                ]
    return options.priced(costs)
