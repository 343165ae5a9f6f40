"""Provable filter pruning."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from pruners.calibration.moments.columns import Layer
from pruners.channels.grouping.groups import ChannelGroup
from pruners.channels.methods.channel_method import ChannelInputs, ChannelMethod
from pruners.channels.readers import readers_of
from pruners.channels.sample_bound import errors_by_rank
from pruners.channels.sensitivity import Sensitivity, input_sensitivities
from pruners.errors import PrunerError
from pruners.method import Option
from pruners.network.inputs import Inputs, batch_size, take_inputs
from pruners.network.layer_names import named_modules
from pruners.option_values import Choice, Whole


@final
class PFP(ChannelMethod):
    """score(channel) = the relative error at which the sample bound of its layer begins to ask for it.

    Liebenwein, Baykal, Lang, Feldman, Rus: Provable Filter Pruning for Efficient Neural Networks, ICLR 2020,
    arXiv 1911.07412. The empirical sensitivity of a channel is the largest share that it has of any output of
    the layers that read it, over a few inputs (`pruners.channels.sensitivity`). The paper's bound says how
    many draws by sensitivity a layer needs for an error (`pruners.channels.sample_bound`); all layers get the
    same error, the smallest that meets the budget, and each keeps as many of its most sensitive channels as
    distinct ones are expected among its draws: the deterministic variant, as the authors' code allocates
    (lucaslie/torchprune, PFPAllocator). ``allocation="uniform"`` leaves the bound out.

    A channel that several layers read has the largest of its sensitivities, and the bound is that of the
    layer with the most output positions and the largest kernel among them. One that goes into transposed
    convolutions only stays. A head has the largest sensitivity of its features in the output projection.
    """

    name = "pfp"
    title = "PFP: provable filter pruning, channels by empirical sensitivity"
    paper = "Liebenwein et al., ICLR 2020, arXiv 1911.07412"
    needs = ("data", "example")
    allocation = "global"
    options = (
        Option(
            "share",
            "channel",
            "whose share of an output counts: that of all products of a channel (the paper), or its largest "
            "single one (weight, as in the authors' code)",
            Choice(("channel", "weight")),
        ),
        Option(
            "samples",
            128,
            "how many of the given inputs, from the first on, sensitivities are the largest of",
            Whole(1, 2**31),
        ),
    )

    def wants_data(self, given: Mapping[str, Any]) -> bool:
        """Tell that it cannot do without inputs."""
        return True

    def scores(
        self,
        network: nn.Module,
        groups: Mapping[str, ChannelGroup],
        scoring_inputs: ChannelInputs,
        options: Mapping[str, Any],
    ) -> dict[str, Tensor]:
        """Score each channel by the error that it is kept for.

        Raises PrunerError where no channels go into a convolution or Linear.
        """
        readers = readers_of(network, groups)
        wanted = {name for read in readers.values() for names, _ in read for name in names}
        layers = {
            name: module
            for name, module in named_modules(network)
            if name in wanted and isinstance(module, Layer)
        }
        batches = _first(scoring_inputs.batches, options["samples"])
        found = input_sensitivities(network, layers, batches, options["share"])
        scores = {}
        for name in groups:
            called = [
                (found[layer], layers[layer], place)
                for names, place in readers[name]
                for layer in names
                if layer in found
            ]
            if not called:
                continue
            largest = torch.stack(
                [_of_channels(told, layer)[place.index].amax(1) for told, layer, place in called]
            )
            scores[name] = errors_by_rank(
                largest.amax(0),
                max(told.positions for told, _, _ in called),
                max(layer.weight[0, 0].numel() for _, layer, _ in called),
            )
        if not scores:
            raise PrunerError(
                "Method pfp needs channels that a convolution or Linear is given, and there are none."
            )
        return scores


def _first(batches: Sequence[Inputs], samples: int) -> Iterator[Inputs]:
    for batch in batches:
        if samples > 0:
            yield take_inputs(batch, slice(0, samples))
        samples -= batch_size(batch)


def _of_channels(told: Sensitivity, layer: Layer) -> Tensor:
    """Return sensitivities along the weight's second dimension, of a grouped one the largest of any group."""
    return told.largest.reshape(-1, layer.weight.shape[1]).amax(0)
