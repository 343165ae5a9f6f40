"""How many channels a layer needs for an error, by provable filter pruning's bound; and its inverse."""

import math

import torch
from torch import Tensor

_FAILURE = 1e-16  # the probability delta that the bound does not hold, as in the authors' code
_SCALE = 3.0  # the constants C and K of the theorems, as there
_GRID = 1024
_SECANTS = 6


def samples_needed(error: float, total: float, positions: int, kernel: int) -> float:
    """Return the number m of samples for a relative error, rounded up in the paper, not here.

    m = K (6 + 2 e) S alpha / e^2 with S = ``total`` the sum of a layer's sensitivities and
    alpha = 2 C log(8 (positions + 1) kernel / delta).

    Liebenwein et al., ICLR 2020, arXiv 1911.07412, theorem 2 and appendix; K = C = 3, delta = 1e-16.
    """
    return _SCALE * (6 + 2 * error) * _coefficient(total, positions, kernel) / error**2


def expected_distinct(probabilities: Tensor, samples: float) -> float:
    """Return how many channels are in so many draws with replacement on average: sum_j 1 - (1 - p_j)^m."""
    return float(-torch.expm1(samples * torch.log1p(-probabilities.double())).sum())


def errors_by_rank(sensitivities: Tensor, positions: int, kernel: int) -> Tensor:
    """Return the largest error that still asks for each channel: (channels,), in float64.

    Of channels by falling sensitivity, equal ones by position, the first r are kept at error e where the
    expected number of distinct ones among `samples_needed` draws rounds to r or more (the authors' code
    rounds down); a draw takes a channel by its share of the sensitivities. The error of the r-th is the e at
    which that number is r - 1/2: keeping what is above one threshold in all layers allocates for one error.
    It falls with the rank; a channel without sensitivity has 0.
    """
    sensitivities = sensitivities.double()
    order = sensitivities.argsort(descending=True, stable=True)
    alive = int(sensitivities.count_nonzero())
    errors = torch.zeros_like(sensitivities)
    if alive:
        total = float(sensitivities.sum())
        samples = _samples_for_ranks(sensitivities[order[:alive]] / total)
        # t e^2 - 6 e - 18 = 0, from m = K (6 + 2 e) c / e^2 with t = m / c and K = 3
        ratio = samples / _coefficient(total, positions, kernel)
        errors[order[:alive]] = (3 + (9 + 18 * ratio).sqrt()) / ratio
    return errors


def _samples_for_ranks(probabilities: Tensor) -> Tensor:
    """Return the m at which 1/2, 3/2, ... distinct channels are expected, found in log m."""
    wanted = torch.arange(len(probabilities), dtype=torch.float64, device="cpu") + 0.5
    # of p = 1 nothing is left after the first draw
    missed = torch.log1p(-probabilities.clamp(max=1 - 2**-53))
    values, counts = missed.unique(return_counts=True)

    def distinct(logs: Tensor) -> Tensor:
        return -(torch.expm1(logs.exp()[:, None] * values) * counts).sum(1)

    # so many draws that even the least likely channel is among them almost surely
    last = math.log(2 * math.log(2 * len(probabilities)) / -float(values[-1]))
    grid = torch.linspace(-5, max(last, 0) + 1, _GRID, dtype=torch.float64, device="cpu")
    reached = distinct(grid)
    place = torch.searchsorted(reached, wanted).clamp(1, _GRID - 1)
    low, high = grid[place - 1], grid[place]
    below, above = reached[place - 1], reached[place]
    for _ in range(_SECANTS):
        between = low + (high - low) * ((wanted - below) / (above - below).clamp(min=1e-300)).clamp(0, 1)
        found = distinct(between)
        is_low = found < wanted
        low, below = torch.where(is_low, between, low), torch.where(is_low, found, below)
        high, above = torch.where(is_low, high, between), torch.where(is_low, above, found)
    return between.exp()


def _coefficient(total: float, positions: int, kernel: int) -> float:
    return total * 2 * _SCALE * math.log(8 * (positions + 1) * kernel / _FAILURE)
