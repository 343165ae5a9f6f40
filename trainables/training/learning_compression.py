"""Training that is drawn to a compressed network: the penalty, and what it draws the weights to."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from pruners.network.copying import copied
from pruners.network.layer_names import named_parameters
from trainables.stages import Compress, Penalty

Project = Callable[[nn.Module, Compress], Mapping[str, Tensor]]
"""Compresses a copy of a network and returns its weights in the dense network's shape, by name."""


class QuadraticPenalty:
    """What the distance of a network's weights from ``aims`` (by parameter name) adds to the loss.

    It is weight / 2 times the sum of the squared differences (Idelbayev and Carreira-Perpinan, CVPR 2020,
    equation (3)).
    """

    def __init__(self, network: nn.Module, aims: Mapping[str, Tensor], weight: float) -> None:
        parameters = named_parameters(network)
        self._pairs = [(parameters[name], aim.to(parameters[name])) for name, aim in aims.items()]
        self._weight = weight

    def value(self) -> Tensor:
        """Return the penalty of the network's present weights, a scalar to differentiate."""
        squares = [(parameter - aim).square().sum() for parameter, aim in self._pairs]
        return self._weight / 2 * torch.stack(squares).sum()


def aims(steps: Iterable[tuple[Penalty, nn.Module]], project: Project) -> dict[str, Tensor]:
    """Return what the last of ``steps`` draws the weights to: each its penalty and the network before it.

    Theta, the compressed network's weights; with multipliers Theta + beta / mu. Between two trainings, of
    penalties mu and mu', Theta is what ``project`` makes of W - beta / mu, W the weights as trained, and then
    beta changes by -mu (W - Theta): the augmented Lagrangian of the constraint W = Theta (Idelbayev and
    Carreira-Perpinan, CVPR 2020, section 3, after Carreira-Perpinan, arXiv 1707.01209). beta is 0 at first.
    """
    beta: dict[str, Tensor] = {}
    theta: Mapping[str, Tensor] = {}
    weight = 0.0
    for penalty, network in steps:
        theta = project(_moved(network, {name: one / weight for name, one in beta.items()}), penalty.compress)
        if weight and penalty.multipliers:
            own = named_parameters(network)
            lacking = {name: own[name].detach() - aim for name, aim in theta.items()}
            beta = {name: beta.get(name, 0) - weight * left for name, left in lacking.items()}
        weight = penalty.weight
    return {name: aim + beta[name] / weight if beta else aim for name, aim in theta.items()}


def _moved(network: nn.Module, by: Mapping[str, Tensor]) -> nn.Module:
    """Return the network, or a copy of it with some weights made less."""
    if not by:
        return network
    moved = copied(network)
    parameters = named_parameters(moved)
    with torch.no_grad():
        for name, difference in by.items():
            parameters[name].sub_(difference)
    return moved
