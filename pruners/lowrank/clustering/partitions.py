"""Partitions of points into clusters of equal size, ever better ones."""

from collections.abc import Callable, Iterator

import numpy as np

from pruners.lowrank.clustering.exchanges import Floats, Members, exchanged

_ROUNDS = 20
_RANDOM_STARTS = 2

CostsOf = Callable[[Members], Floats]
"""What each point costs in each cluster (points x clusters), given the centres that fit some members best."""


def descent(costs_of: CostsOf, members: Members) -> Iterator[Members]:
    """Yield the partition, then ones of ever lower cost, until neither points nor centres gain by moving.

    As Lloyd's algorithm: centres are fitted to the clusters, then points exchanged between them. At most 20
    rounds.
    """
    yield members
    for _ in range(_ROUNDS):
        moved = exchanged(costs_of(members), members)
        if np.array_equal(moved, members):
            return
        members = moved
        yield members


def partition_cost(costs_of: CostsOf, members: Members) -> float:
    """Return the sum of what the points cost in their own clusters."""
    return float(costs_of(members)[members, np.arange(len(members))[:, None]].sum())


def best_partition(costs_of: CostsOf, points: int, clusters: int, few: int, seed: int) -> Members:
    """Return the best end of descents from consecutive points and from two starts drawn by ``seed``.

    Those take centres that fit ``few`` points each: a centre that fits its whole cluster is near to all of
    these already. The best costs no more than clusters of consecutive points. Points ascend in each cluster,
    and clusters by their first points.
    """
    consecutive = np.arange(points).reshape(clusters, -1)
    generator = np.random.default_rng(seed)
    orders = (generator.permutation(points).reshape(clusters, -1) for _ in range(_RANDOM_STARTS))
    drawn = (exchanged(costs_of(order[:, :few]), order) for order in orders)
    ends = []
    for start in (consecutive, *drawn):
        *_, end = descent(costs_of, start)
        ends.append(end)
    best = np.sort(min(ends, key=lambda end: partition_cost(costs_of, end)), axis=1)
    return best[np.argsort(best[:, 0])]
