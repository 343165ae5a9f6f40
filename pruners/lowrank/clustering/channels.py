"""Clusters of a layer's input channels: of like ones, or of ones near to a common subspace."""

import numpy as np
import torch
from torch import Tensor

from pruners.lowrank.clustering.exchanges import Floats, Members
from pruners.lowrank.clustering.partitions import CostsOf, best_partition
from pruners.lowrank.layers.cut import KMEANS
from pruners.lowrank.layers.shapes import LayerShape

_VANISHING = 1e-7
"""A direction with less of its cluster's largest singular value is rounding."""

_PRODUCTS = 2**22
"""Products of directions and columns that are held at once, beyond those of one cluster."""


def clustered_order(
    matrix: Tensor, shape: LayerShape, form: str, num_subspaces: int, seed: int
) -> Tensor | None:
    """Return the order of the input channels in which clusters are slices; None where they are so already.

    ``matrix`` is the folded weight of a layer without groups, rows x columns, in float64. A channel's k1 k2
    columns stay together. Clusters have equal sizes, as the groups of a convolution do.

    ``kmeans``: the sum of the squared distances of the channels' kernels to their cluster's mean is made
    small. ``projective``: that of the channels' columns to the subspace that fits their cluster best (Maalouf
    et al., Deep Learning Meets Projective Clustering, ICLR 2021, arXiv 2010.04290), which is what truncating
    each cluster leaves out. The subspaces' dimension is the rank at which the layer keeps half its weights,
    so that one order serves all ranks. Both are local optima, see `best_partition`.
    """
    channels = matrix.unflatten(1, (shape.in_channels, -1)).transpose(0, 1).contiguous()
    rank = max(1, shape.largest_saving_rank(num_subspaces) // 2)
    if form == KMEANS:
        costs_of, few = distances_to_means(channels), 1
    else:
        costs_of, few = distances_to_subspaces(channels, rank), -(-rank // channels.shape[2])
    order = best_partition(costs_of, shape.in_channels, num_subspaces, few, seed).flatten()
    return None if np.array_equal(order, np.arange(len(order))) else torch.from_numpy(order)


def distances_to_means(channels: Tensor) -> CostsOf:
    """Return the squared distances of channels (channels x rows x k1 k2) to clusters' means."""
    points = channels.flatten(1)
    energies = points.square().sum(1, keepdim=True)

    def costs_of(members: Members) -> Floats:
        means = points[torch.from_numpy(members)].mean(1)
        squared: Floats = (energies - 2 * points @ means.mT + means.square().sum(1)).numpy()
        return squared

    return costs_of


def distances_to_subspaces(channels: Tensor, rank: int) -> CostsOf:
    """Return the squared distances of channels' columns to clusters' best subspaces of dimension ``rank``."""
    columns = channels.transpose(0, 1).flatten(1)  # rows x (channels k1 k2)
    energies = channels.square().sum((1, 2))
    at_once = max(1, _PRODUCTS // max(1, rank * columns.shape[1]))

    def costs_of(members: Members) -> Floats:
        clusters = channels[torch.from_numpy(members)].transpose(1, 2).flatten(2)
        products = (some.mT @ columns for some in _leading_directions(clusters, rank).split(at_once))
        within = torch.cat([some.square().sum(1) for some in products])
        return (energies - within.unflatten(1, (len(channels), -1)).sum(2)).clamp_min(0).mT.numpy()

    return costs_of


def _leading_directions(matrices: Tensor, rank: int) -> Tensor:
    """Return the leading left singular vectors of each matrix; 0 where one has no more."""
    wide = matrices.shape[-1] >= matrices.shape[-2]
    values, vectors = torch.linalg.eigh(matrices @ matrices.mT if wide else matrices.mT @ matrices)
    leading = vectors.flip(-1)[..., :rank]
    if wide:
        return leading
    lengths = values.clamp_min(0).sqrt().flip(-1)[..., :rank]
    inverse = torch.where(lengths > _VANISHING * lengths[..., :1], 1 / lengths, 0.0)
    return (matrices @ leading) * inverse.unsqueeze(-2)
