"""What ``tombola plan`` shows of a method that removes channels."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

import pruners
from pruners.network.counting.multiply_adds import multiply_adds
from pruners.network.inputs import Inputs
from trainables.config import CompressionConfig
from trainables.execution.compression import scoring_batch
from trainables.task import loss
from trainables.task.data.data import Data


def channel_plan(
    network: nn.Module,
    method: str,
    example: Inputs,
    images: Any,
    data: Data | None,
    asked: Mapping[str, Any],
) -> tuple[dict[str, Any], str]:
    """Choose a network's channels; return the choice for programs and as text.

    Methods that need labels score by cross-entropy. Raises `pruners.PrunerError` as `pruners.compress` does.
    """
    given: dict[str, Any] = {"example": example, "data": images}
    if data is not None and "loss" in pruners.method_named(method).needs:
        batch = scoring_batch.sample(data, CompressionConfig.scoring_per_class, 0, torch.device("cpu"))
        given |= {"data": [batch], "loss": loss.resolve("cross_entropy", ignored=data.labels_nothing)}
    artifact = pruners.compress(network, method, **given, **asked)
    assert isinstance(artifact, pruners.Channels)
    told = {
        "method": artifact.method,
        "params": artifact.params,
        "dense_params": sum(layer.dense_params for layer in artifact.layers.values()),
        "multiply_adds": multiply_adds(artifact.apply(network), example, {}).total,
        "dense_multiply_adds": multiply_adds(network, example, {}).total,
        "layers": {name: vars(layer) for name, layer in artifact.layers.items()},
    }
    return told, _text(told)


def _text(told: Mapping[str, Any]) -> str:
    width = max(len(name) for name in told["layers"])
    rows = [f"{'layer':<{width}}  {'channels':>8}  {'of':>5}  {'params':>9}  {'of':>9}"]
    rows += [
        f"{name:<{width}}  {layer['channels']:>8}  {layer['dense_channels']:>5}  "
        f"{layer['params']:>9}  {layer['dense_params']:>9}"
        for name, layer in told["layers"].items()
    ]
    rows.append(
        f"{told['params']} of {told['dense_params']} weights, "
        f"{told['multiply_adds']} of {told['dense_multiply_adds']} multiply-adds"
    )
    return "\n".join(rows)
