"""How far two networks' outputs are from each other."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves


def largest_difference(ours: Any, theirs: Any) -> float:
    """Return the largest difference between outputs, of each tensor as a share of the largest value in ours.

    It is NaN where only one of them is. Raises ValueError where they are not as many, or of other shapes.
    """
    pairs = zip(_tensors(ours), _tensors(theirs), strict=True)
    # Python's max would pass over what is NaN
    return float(torch.tensor([0.0, *(_difference(*pair) for pair in pairs)]).max())


def _tensors(outputs: Any) -> list[Tensor]:
    return [leaf.double() for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]


def _difference(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        raise ValueError(f"an output is {tuple(other.shape)}, not {tuple(one.shape)}")
    if not one.numel():
        return 0.0
    same = (one == other) | (one.isnan() & other.isnan())
    largest = float(one.abs().where(one.isfinite(), 0.0).max())
    return float((one - other).abs().masked_fill(same, 0.0).max()) / (largest or 1.0)
