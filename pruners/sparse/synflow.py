"""SynFlow: weights that carry most of the flow through the network, without data."""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.inputs import forward, map_tensors
from pruners.method import Option
from pruners.sparse.score_method import Given, ScoreMethod, Scores


@final
class SynFlow(ScoreMethod):
    """|w dR/dw|, of the weight's shape, where R is the sum of the outputs of the network of absolute values on an input of ones.

    Tanaka, Kunin, Yamins, Ganguli: Pruning neural networks without any data by iteratively conserving synaptic flow, NeurIPS 2020,
    arXiv 2006.05467, section 6. As in the authors' code every parameter and buffer is made absolute, BatchNorm's running statistics
    included, BatchNorm runs in eval mode, and weights go in 100 rounds of exponentially falling density: one round empties layers. R is a
    product over depth, which single precision does not hold for deep networks, so scores are in float64 unless told (``dtype``).
    Raises PrunerError where they overflow.
    """

    name = "synflow"
    title = "SynFlow: iterative conservation of synaptic flow, without data"
    paper = "Tanaka et al., NeurIPS 2020, arXiv 2006.05467"
    needs = ("example",)
    options = (Option("dtype", "float64", "precision of the scores: float64, or own for the network's", ("float64", "own")),)
    rounds = 100

    def prepared(self, network: nn.Module, options: Mapping[str, Any]) -> nn.Module:
        """The network of absolute values in eval mode; floating-point parameters and buffers in float64 unless told."""
        if options["dtype"] == "float64":
            network = network.double()
        network.requires_grad_(False)
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.abs_()
        return network.eval()

    def scores(
        self, network: nn.Module, weights: Mapping[str, nn.Parameter], alive: Mapping[str, Tensor], given: Given, options: Mapping[str, Any]
    ) -> Scores:
        """As `ScoreMethod.scores`."""
        assert given.example is not None
        weight = next(iter(weights.values()))
        ones = map_tensors(lambda t: torch.ones(1, *t.shape[1:], dtype=weight.dtype, device=weight.device), given.example)
        flow = forward(network, ones).sum()
        gradients = torch.autograd.grad(flow, list(weights.values()), allow_unused=True, materialize_grads=True)
        scores = {n: gradient.mul_(w.detach()).abs_() for (n, w), gradient in zip(weights.items(), gradients, strict=True)}
        # the largest score of a layer is not finite if any is not
        if not torch.stack([flow.detach(), *(score.amax() for score in scores.values() if score.numel())]).isfinite().all():
            remedy = (
                "use dtype='float64'"
                if weight.dtype != torch.float64
                else "even float64 does not hold this network's, so rescale its weights"
            )
            raise PrunerError(f"SynFlow's scores overflowed in {str(weight.dtype).removeprefix('torch.')}: {remedy}.")
        return scores
