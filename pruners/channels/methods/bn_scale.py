"""Network slimming: BatchNorm's scale tells which channels matter."""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruners.channels.grouping.groups import ChannelGroup
from pruners.channels.methods.channel_method import ChannelInputs, ChannelMethod
from pruners.errors import PrunerError
from pruners.network.layer_names import named_modules, named_parameters


@final
class BNScale(ChannelMethod):
    """score(channel) = |gamma_c|, the scale of the BatchNorm that the channel goes through.

    Liu, Li, Shen, Huang, Yan, Zhang: Learning Efficient Convolutional Networks through Network Slimming, ICCV
    2017, arXiv 1708.06519, section 3: one threshold over all layers. The paper trains with an l1 penalty on
    the scales before. A channel that goes through several BatchNorms (before a sum, or after a concatenation)
    has the mean of |gamma|. Channels that go through none stay, as do heads of attention.
    """

    name = "bn_scale"
    title = "Network slimming: channels with the largest BatchNorm scale stay"
    paper = "Liu et al., ICCV 2017, arXiv 1708.06519"
    allocation = "global"

    def scores(
        self,
        network: nn.Module,
        groups: Mapping[str, ChannelGroup],
        scoring_inputs: ChannelInputs,
        options: Mapping[str, Any],
    ) -> dict[str, Tensor]:
        """Score each channel by |gamma|. Raises PrunerError where no channel goes through a BatchNorm."""
        parameters = named_parameters(network)
        scales = {
            id(module.weight)
            for _, module in named_modules(network)
            if isinstance(module, _BatchNorm) and module.weight is not None
        }
        scores = {}
        for name, group in groups.items():
            gammas = [
                place.of_each(parameters[place.tensor].detach()).double().abs().mean(1)
                for place in group.places
                if id(parameters.get(place.tensor)) in scales
            ]
            if gammas:
                scores[name] = torch.stack(gammas).mean(0)
        if not scores:
            raise PrunerError(
                "Method bn_scale needs BatchNorm, and no channel that could go passes through one."
            )
        return scores
