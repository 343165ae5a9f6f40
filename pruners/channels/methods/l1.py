"""The l1 norm of filters."""

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor, nn

from pruners.channels.grouping.groups import ChannelGroup
from pruners.channels.methods.channel_method import ChannelInputs, ChannelMethod
from pruners.channels.methods.filter_norms import filter_norms


@final
class L1(ChannelMethod):
    """score(channel) = ||W_c||_1, the sum of the absolute values of its filter.

    Li, Kadav, Durdanovic, Samet, Graf: Pruning Filters for Efficient ConvNets, ICLR 2017, arXiv 1608.08710,
    section 3.1. Filters are compared within their layer, and the paper takes a share for each by hand; here
    every layer keeps the same.
    """

    name = "l1"
    title = "L1: filters with the largest l1 norm stay"
    paper = "Li et al., ICLR 2017, arXiv 1608.08710"

    def scores(
        self,
        network: nn.Module,
        groups: Mapping[str, ChannelGroup],
        scoring_inputs: ChannelInputs,
        options: Mapping[str, Any],
    ) -> dict[str, Tensor]:
        """Score each channel by the l1 norm of its filter."""
        return filter_norms(network, groups, 1)
