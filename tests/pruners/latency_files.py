"""Files of latency tables with known numbers: a table is data, whoever measured it."""

import json

import numpy as np

import pruners
from pruners.latency.tables import digest_of
from pruners.latency.timed_on import timed_on
from pruners.lowrank.layers.folding import folded_shape


def written(path, model, example, parts):
    """Write a file as one that was measured on this device."""
    of = timed_on(model, example)
    table = {"of": of, "parts": parts}
    path.write_text(json.dumps({"format": 1, "tables": {digest_of(of): table}}))
    return path


def dense_part(layers, rest, outputs=None):
    """Times of layers as they are, and of all that a network does besides."""
    outputs = outputs or dict.fromkeys(layers, 1)
    return {
        f"{len(layers)} layers": {
            "network": sum(layers.values()) + rest,
            "layers": layers,
            "outputs": outputs,
        }
    }


def decomposed_part(model, name, num_subspaces, time_of, form="encode"):
    """Times of a layer at the ranks that are measured: ``time_of`` maps each to nanoseconds."""
    shape = folded_shape(pruners.compressible(model)[name], form)
    ranks = np.unique(np.rint(np.geomspace(1, shape.largest_saving_rank(num_subspaces), 5))).astype(int)
    return {f"{form} in {num_subspaces} of {name}": {str(r): time_of(r) for r in ranks.tolist()}}
