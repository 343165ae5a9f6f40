"""SynFlow: weights that carry most of the flow through the network, without data."""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.method import Option
from pruners.network.inputs import Inputs, forward, map_tensors
from pruners.option_values import Choice
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod


@final
class SynFlow(ScoreMethod):
    """|w dR/dw|, of the weight's shape, where R is the flow through the network of absolute values.

    The flow is the sum of the outputs for an input of ones. Tanaka, Kunin, Yamins, Ganguli: Pruning
    neural networks without any data by iteratively conserving synaptic flow, NeurIPS 2020, arXiv
    2006.05467, section 6. As in the authors' code every parameter and buffer is made absolute,
    BatchNorm's running statistics included, BatchNorm runs in eval mode, and weights go in 100 rounds of
    exponentially falling density: one round empties layers. R is a product over depth, which single
    precision does not hold for deep networks, so scores are in float64 unless told (``dtype``). Raises
    PrunerError where they overflow.

    Inputs that are no floats (the tokens of an embedding, a padding mask) stay as the example's first sample
    has them: the embedding's absolute rows of these tokens then play the part of the ones. Where all
    positions of a sequence are the same, as ones are unless the network adds positions to them, attention is
    uniform whatever its queries and keys, whose weights then score zero.
    """

    name = "synflow"
    title = "SynFlow: iterative conservation of synaptic flow, without data"
    paper = "Tanaka et al., NeurIPS 2020, arXiv 2006.05467"
    made_for = "untrained"
    needs = ("example",)
    options = (
        Option(
            "dtype",
            "float64",
            "precision of the scores: float64, or own for the network's",
            Choice(("float64", "own")),
        ),
    )
    rounds = 100

    def prepared(self, network: nn.Module, options: Mapping[str, Any]) -> nn.Module:
        """Return the network of absolute values in eval mode.

        Floating-point parameters and buffers are in float64 unless told.
        """
        if options["dtype"] == "float64":
            network = network.double()
        network.requires_grad_(False)
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.abs_()
        return network.eval()

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        """Score each weight by |w dR/dw|. PrunerError where scores overflow or the network does not run."""
        assert scoring_inputs.example is not None
        weight = next(iter(weights.values()))
        flow = _flow(network, _ones(scoring_inputs.example, weight))
        gradients = torch.autograd.grad(
            flow, list(weights.values()), allow_unused=True, materialize_grads=True
        )
        scores = {
            n: gradient.mul_(w.detach()).abs_()
            for (n, w), gradient in zip(weights.items(), gradients, strict=True)
        }
        # the largest score of a layer is not finite if any is not
        if (
            not torch.stack([flow.detach(), *(score.amax() for score in scores.values() if score.numel())])
            .isfinite()
            .all()
        ):
            remedy = (
                "use dtype='float64'"
                if weight.dtype != torch.float64
                else "even float64 does not hold this network's, so rescale its weights"
            )
            raise PrunerError(
                f"SynFlow's scores overflowed in {str(weight.dtype).removeprefix('torch.')}: {remedy}."
            )
        return scores


def _ones(example: Inputs, weight: Tensor) -> Any:
    """Make one sample of ones in the weights' dtype; of what is no float, take the example's first sample."""

    def one(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point():
            return torch.ones(1, *tensor.shape[1:], dtype=weight.dtype, device=weight.device)
        return tensor[:1].to(weight.device)

    return map_tensors(one, example)


def _flow(network: nn.Module, inputs: Inputs) -> Tensor:
    """Sum the outputs. PrunerError where the network does not run."""
    try:
        outputs = forward(network, inputs)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        dtype = next(parameter.dtype for parameter in network.parameters())
        remedy = "; dtype='own' takes the network's own precision" if dtype == torch.float64 else ""
        raise PrunerError(
            "SynFlow cannot run the network on one sample of ones in "
            f"{str(dtype).removeprefix('torch.')}{remedy}. Torch says: {str(error).splitlines()[0]}"
        ) from error
    if not isinstance(outputs, Tensor):
        raise PrunerError(
            f"SynFlow sums the network's output, which must be one tensor, not a {type(outputs).__name__}."
        )
    return outputs.sum()
