"""Norms of the filters that make a channel."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pruners.channels.grouping.groups import ChannelGroup
from pruners.network.layer_names import named_parameters


def filter_norms(network: nn.Module, groups: Mapping[str, ChannelGroup], order: int) -> dict[str, Tensor]:
    """Return for each group's channels the norm of their filter, over all of its weights but the bias.

    The norm is the one of this order. A channel that several layers make together (before a sum, or a
    depthwise convolution) has the mean of their filters' norms, so that groups of many layers and of few can
    be compared. A head has the mean of three: all of its rows of the query's projection are one filter, so
    are the key's and the value's, packed or not.
    """
    parameters = named_parameters(network)
    return {
        name: torch.stack(
            [
                place.of_each(parameters[place.tensor].detach()).double().norm(order, dim=1)
                for place in group.filters
            ]
        ).mean(0)
        for name, group in groups.items()
    }
