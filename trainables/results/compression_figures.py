"""What a compression made of a network, in figures."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pruners
from trainables.execution.network import Network, bytes_of
from trainables.execution.trial_setting import TrialSetting
from trainables.metric_names import (
    BYTES,
    BYTES_KEPT,
    DENSITY,
    FLOPS_KEPT,
    LARGEST_ERROR,
    MULTIPLY_ADDS,
    OF_A_LAYER,
    PARAMS,
    PARAMS_KEPT,
    SETTLED_AT,
)
from trainables.results.latency import latency

Layers = dict[str, dict[str, float]]


def layers(network: Network) -> Layers:
    """Tell what became of each layer.

    Rank, num_subspaces (of Tucker-2 in_rank too) and error where it was decomposed, density under a mask,
    channels and dense_channels where such were removed; params and dense_params.
    """
    artifact = network.artifact
    if isinstance(artifact, pruners.Channels):
        return {name: asdict(layer) for name, layer in artifact.layers.items()}
    if isinstance(artifact, pruners.Mask):
        return {
            n: {"density": x.density, "params": x.params, "dense_params": x.dense_params}
            for n, x in artifact.layers.items()
        }
    if not isinstance(artifact, pruners.Decomposition):
        return {}
    return {
        name: {
            "rank": layer.rank,
            "num_subspaces": layer.num_subspaces,
            **({"in_rank": layer.in_rank} if layer.in_rank else {}),
            "error": layer.error,
            "params": layer.params,
            "dense_params": artifact.shapes[name].params,
        }
        for name, layer in artifact.layers.items()
    }


def sizes(network: Network, dense: Mapping[str, float]) -> dict[str, float]:
    """Measure the files that a network is deployed with, in bytes and as a share of the dense network's."""
    size = bytes_of(network)
    return {BYTES: size, BYTES_KEPT: size / dense["bytes"]}


def metrics(network: Network, dense: Mapping[str, float], setting: TrialSetting) -> dict[str, Any]:
    """Measure what training does not change of a compressed network.

    ``dense`` holds params, bytes and multiply_adds of the dense one.
    """
    artifact = network.artifact
    mask = artifact if isinstance(artifact, pruners.Mask) else None
    cost = pruners.cost(network.module, setting.example(), mask=mask)
    figures: dict[str, Any] = {
        PARAMS: cost.params,
        PARAMS_KEPT: cost.params / dense["params"],
        **sizes(network, dense),
        MULTIPLY_ADDS: cost.multiply_adds,
        FLOPS_KEPT: cost.multiply_adds / dense["multiply_adds"] if dense["multiply_adds"] else 1.0,
        **latency(network, setting),
    }
    if mask:
        figures[DENSITY] = mask.density
        if "settled_at" in mask.options:
            figures[SETTLED_AT] = mask.options["settled_at"]
    if isinstance(artifact, pruners.Decomposition):
        figures[LARGEST_ERROR] = artifact.error
    for name, layer in layers(network).items():
        figures |= {
            f"{OF_A_LAYER}{name}/{key}": layer[key]
            for key in ("rank", "num_subspaces", "density", "channels")
            if key in layer
        }
    return figures
