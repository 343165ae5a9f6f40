"""Filter thresholding."""

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor, nn

from pruners.channels.grouping.groups import ChannelGroup
from pruners.channels.methods.channel_method import ChannelInputs, ChannelMethod
from pruners.channels.methods.filter_norms import filter_norms


@final
class FT(ChannelMethod):
    """score(channel) = ||W_c||_2, the l2 norm of its filter (the entries of all inputs and kernel positions).

    The baseline FT of Liebenwein, Maalouf, Gal, Feldman, Rus: Compressing Neural Networks: Towards
    Determining the Optimal Layer-wise Decomposition, NeurIPS 2021, arXiv 2107.11442, section 4, with the norm
    of He et al.: Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks, IJCAI 2018, arXiv
    1808.06866. Every layer keeps about the same share of its filters, as in the authors' code
    (lucaslie/torchprune, FilterUniAllocator).
    """

    name = "ft"
    title = "FT: filters with the largest l2 norm stay"
    paper = "Liebenwein et al., NeurIPS 2021, arXiv 2107.11442 (He et al., IJCAI 2018, arXiv 1808.06866)"

    def scores(
        self,
        network: nn.Module,
        groups: Mapping[str, ChannelGroup],
        scoring_inputs: ChannelInputs,
        options: Mapping[str, Any],
    ) -> dict[str, Tensor]:
        """Score each channel by the l2 norm of its filter."""
        return filter_norms(network, groups, 2)
