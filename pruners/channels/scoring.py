"""Scores of a network's channels, from a copy of it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pruners.calibration.batches import calibration_batches
from pruners.calibration.calibration import Calibration
from pruners.channels.grouping.groups import ChannelGroup
from pruners.channels.head_attention import call_output_projections
from pruners.channels.methods.channel_method import ChannelInputs, ChannelMethod
from pruners.errors import PrunerError
from pruners.network.copying import copied
from pruners.network.forward_pass import naming_refusals
from pruners.network.inputs import Inputs, inputs_device
from pruners.network.layer_names import unwrapped
from pruners.network.seeding import seeded
from pruners.sparse.scorer import scoring_inputs_for


def channel_inputs(
    method: ChannelMethod,
    data: Calibration | Inputs | Iterable[Any] | None,
    loss: Callable[..., Tensor] | None,
    example: Inputs | None,
    seed: int,
) -> ChannelInputs:
    """Gather what a method scores with. PrunerError where something is missing, or its data no batches."""
    if example is None:
        raise PrunerError(f"Method {method.name} needs example=.")
    generator = torch.Generator().manual_seed(seed)
    if "loss" in method.needs:
        batches = scoring_inputs_for(method, data, loss, example, seed).data
        inputs, labels = [batch for batch, _ in batches], [labels for _, labels in batches]
        return ChannelInputs(example, inputs, labels, loss, generator)
    unlabelled: list[Inputs] = []
    if data is not None and "data" in method.needs:
        given = data.batches if isinstance(data, Calibration) else data
        unlabelled = calibration_batches(given, inputs_device(example))
    return ChannelInputs(example, unlabelled, [], None, generator)


def channel_scores(
    model: nn.Module,
    method: ChannelMethod,
    groups: Mapping[str, ChannelGroup],
    scoring_inputs: ChannelInputs,
    seed: int,
    options: Mapping[str, Any],
) -> dict[str, Tensor]:
    """Score the channels of each group, on the CPU in float64.

    PrunerError where a group's scores are not one finite number for each channel, with the group's name, and
    where the network has no channels.
    """
    if not groups:
        raise PrunerError("The network has no channels that could be removed.")
    network = copied(unwrapped(model)).eval()
    call_output_projections(network)
    for parameter in network.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_()
    with (
        seeded(seed, model),
        torch.enable_grad(),
        naming_refusals(network, f"Method {method.name} cannot score the network"),
    ):
        scores = method.scores(network, groups, scoring_inputs, options)
    scores = {name: score.detach().to("cpu", torch.float64) for name, score in scores.items()}
    for name, score in scores.items():
        if name not in groups or score.shape != (groups[name].channels,):
            raise PrunerError(
                f"Method {method.name} gave scores of shape {tuple(score.shape)} for {name!r}, which are not "
                "those of the channels of a group."
            )
        if not bool(score.isfinite().all()):
            raise PrunerError(f"Layer {name!r} has {method.name} scores that are not finite.")
    return scores
