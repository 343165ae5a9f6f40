"""LAMP: scores that are compared across layers as shares of what is still left of each."""

import torch
from torch import Tensor

from pruners.sparse.curvature.scoring_inputs import Scores


def lamp_scores(scores: Scores, alive: Scores) -> Scores:
    """Divide the square of each score by the sum of its layer's squares that are not smaller.

    Lee, Park, Mo, Ahn, Shin: Layer-adaptive Sparsity for the Magnitude-based Pruning, ICLR 2021, arXiv
    2010.07611, equation (1), for magnitudes: then the lowest is the weight whose removal distorts its layer,
    as a share of what is left of it, the least. The order within a layer stays (of equal scores the later
    weight is the lower), and its highest becomes 1, so that every layer keeps a weight before any keeps two.
    The same formula ranks the scores of other methods, which must not be negative.

    ``alive`` marks the weights that are left; the others count nowhere and score 0. The results are float64.
    """
    return {name: _of_layer(score, alive[name].to(score.device)) for name, score in scores.items()}


def _of_layer(scores: Tensor, alive: Tensor) -> Tensor:
    left = scores.double().masked_fill(~alive, 0).flatten()
    if not left.numel() or not left.max():
        return torch.zeros(scores.shape, dtype=torch.float64, device=scores.device)
    squares = (left / left.max()).square()
    # stable: of equal ones the earlier comes first, and counts in the sum of every later one
    order = squares.argsort(descending=True, stable=True)
    ranked = squares[order]
    return torch.empty_like(left).index_copy_(0, order, ranked / ranked.cumsum(0)).view(scores.shape)
