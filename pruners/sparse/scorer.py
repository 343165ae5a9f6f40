"""Scores of a network's weights, from a copy in which removed ones are zero."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.method import Method
from pruners.network.copying import copied
from pruners.network.forward_pass import naming_refusals
from pruners.network.inputs import Inputs, batch_size
from pruners.network.layer_names import named_parameters, unwrapped
from pruners.network.readiness import check_computable
from pruners.sparse.curvature.scoring_inputs import Scores, ScoringInputs
from pruners.sparse.methods.score_method import ScoreMethod
from pruners.sparse.selection.prunable import PrunableLayer


def scoring_inputs_for(
    method: Method,
    data: Any,
    loss: Callable[..., Tensor] | None,
    example: Inputs | None,
    seed: int,
) -> ScoringInputs:
    """Gather what a method scores with. PrunerError where its data are no batches (inputs, labels)."""
    batches = tuple(data) if data is not None and "data" in method.needs else ()
    if "data" in method.needs and not batches:
        raise PrunerError(f"Method {method.name} needs at least one batch of data, and there was none.")
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise PrunerError(
                f"data takes batches (inputs, labels), not {type(batch).__name__}s of another form."
            )
        inputs, labels = batch
        if (
            not isinstance(labels, Tensor)
            or not labels.dim()
            or len(labels) != batch_size(inputs)
            or not len(labels)
        ):
            told = (
                f"of shape {tuple(labels.shape)}"
                if isinstance(labels, Tensor)
                else f"a {type(labels).__name__}"
            )
            raise PrunerError(
                "data: the labels of a batch are a tensor with a first dimension as long as the inputs', "
                f"not {told}."
            )
    return ScoringInputs(batches, loss, example, torch.Generator().manual_seed(seed))


class Scorer:
    """A method at work on a copy of a network, again and again as weights are removed."""

    def __init__(
        self,
        method: ScoreMethod,
        model: nn.Module,
        layers: Mapping[str, PrunableLayer],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> None:
        self._method, self._scoring_inputs, self._options = method, scoring_inputs, options
        self._layers = layers
        for name, weight in _weights(model, layers).items():
            check_computable(name, weight)
        # inference tensors take no part in gradients
        with torch.inference_mode(False):
            copy = copied(unwrapped(model))
        # before the method looks: one that changes the weights would tell of what it made of them
        _remove(_weights(copy, layers), alive)
        _check_finite(_weights(copy, layers), layers, "weights")
        with naming_refusals(copy, f"Method {method.name} cannot prepare the network"):
            self._network = method.prepared(copy, options)
        for weight in _weights(self._network, layers).values():
            weight.requires_grad_()

    def scores(self, alive: Mapping[str, Tensor]) -> Scores:
        """Score the weights, by parameter name (removed ones by any numbers).

        PrunerError, with the layer's name, where an alive weight's score is not finite.
        """
        weights = _weights(self._network, self._layers)
        alive = {name: mask.to(weights[name].device) for name, mask in alive.items()}
        _remove(weights, alive)
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            naming_refusals(self._network, f"Method {self._method.name} cannot score the network"),
        ):
            scores = self._method.scores(self._network, weights, alive, self._scoring_inputs, self._options)
        scores = {name: score.detach() for name, score in scores.items()}
        if not _finite(scores.values()):
            of_alive = {name: score.masked_fill(~alive[name], 0) for name, score in scores.items()}
            _check_finite(of_alive, self._layers, f"{self._method.name} scores")
        return scores


def _weights(network: nn.Module, layers: Mapping[str, PrunableLayer]) -> dict[str, nn.Parameter]:
    parameters = named_parameters(network)
    return {layer.parameter: parameters[layer.parameter] for layer in layers.values()}


def _remove(weights: Mapping[str, nn.Parameter], alive: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, weight in weights.items():
            weight.masked_fill_(~alive[name].to(weight.device), 0)


def _check_finite(tensors: Mapping[str, Tensor], layers: Mapping[str, PrunableLayer], what: str) -> None:
    for name, layer in layers.items():
        if not _finite([tensors[layer.parameter]]):
            raise PrunerError(f"Layer {name!r} has {what} that are not finite.")


def _finite(tensors: Iterable[Tensor]) -> bool:
    """Tell whether all values are finite, from the extremes.

    These are not finite where a value is not, and cost a fraction of looking at each.
    """
    extremes = [
        extreme.to("cpu", torch.float64)
        for tensor in tensors
        if tensor.numel()
        for extreme in tensor.aminmax()
    ]
    return not extremes or bool(torch.stack(extremes).isfinite().all())
