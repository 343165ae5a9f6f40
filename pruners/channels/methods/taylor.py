"""Taylor: channels whose removal changes the loss most, to the first order, stay."""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from pruners.channels.grouping.groups import ChannelGroup
from pruners.channels.methods.channel_method import ChannelInputs, ChannelMethod
from pruners.channels.readers import readers_of
from pruners.method import Option
from pruners.network.inputs import batch_size, forward, take_inputs
from pruners.network.layer_names import named_parameters
from pruners.option_values import Choice
from pruners.sparse.curvature.gradients import differentiable


@final
class Taylor(ChannelMethod):
    """score(channel) = mean over batches of (dL/dz)^2, with z = 1 a gate that the channel is multiplied by.

    Molchanov, Mallya, Tyree, Frosio, Kautz: Importance Estimation for Neural Network Pruning, CVPR 2019,
    arXiv 1906.10771, equation 8 with the gates of section 3.2: (dL/dz)^2 is the squared change of the loss
    when z goes to 0, to the first order. One gate stands before all layers that read the channel (behind
    BatchNorm and activation, and behind a sum once for all its summands), so that z = 0 is the channel's
    removal; one stands before the output projection for all features of a head. What a linear layer is
    given, times the gradient there, is its weight times the weight's gradient:

        dL/dz_c = sum over the layers that read c, over outputs i and kernel positions, of w_ic * dL/dw_ic

    With ``gradient="example"`` each example is a batch of its own (the paper's Taylor FO-FG); L is the mean
    loss of a batch, BatchNorm is in eval mode.
    """

    name = "taylor"
    title = "Taylor: channels whose removal changes the loss most stay"
    paper = "Molchanov et al., CVPR 2019, arXiv 1906.10771"
    needs = ("data", "loss", "example")
    allocation = "global"
    options = (
        Option(
            "gradient",
            "batch",
            "whose gradients are squared: those of each batch, or of each example",
            Choice(("batch", "example")),
        ),
    )

    def scores(
        self,
        network: nn.Module,
        groups: Mapping[str, ChannelGroup],
        scoring_inputs: ChannelInputs,
        options: Mapping[str, Any],
    ) -> dict[str, Tensor]:
        """Score each channel by the mean squared derivative of the loss with respect to its gate."""
        readers = readers_of(network, groups)
        parameters = named_parameters(network)
        weights = {place.tensor: parameters[place.tensor] for read in readers.values() for _, place in read}
        scores = {
            name: torch.zeros(group.channels, dtype=torch.float64, device=scoring_inputs.labels[0].device)
            for name, group in groups.items()
        }
        parts = 0
        for inputs, labels in _parts(scoring_inputs, options["gradient"]):
            assert scoring_inputs.loss is not None
            loss = differentiable(scoring_inputs.loss(forward(network, inputs), labels))
            gradients = torch.autograd.grad(
                loss, list(weights.values()), allow_unused=True, materialize_grads=True
            )
            products = {
                name: (weight.detach() * gradient).double()
                for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
            }
            for name, read in readers.items():
                scores[name] += sum(place.of_each(products[place.tensor]).sum(1) for _, place in read) ** 2
            parts += 1
        return {name: score / parts for name, score in scores.items()}


def _parts(scoring_inputs: ChannelInputs, gradient: str) -> Any:
    for inputs, labels in zip(scoring_inputs.batches, scoring_inputs.labels, strict=True):
        if gradient == "batch":
            yield inputs, labels
            continue
        for place in range(batch_size(inputs)):
            one = slice(place, place + 1)
            yield take_inputs(inputs, one), labels[one]
