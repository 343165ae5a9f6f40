"""Points moved between clusters whose sizes stay what they are."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Members = NDArray[np.int64]
"""The points of each cluster, clusters x size: a partition into clusters of one size."""

_LEAST_GAIN = 1e-12
"""A share of the largest cost, which rounding alone may seem to gain."""


def exchanged(costs: Floats, members: Members) -> Members:
    """Exchange points between clusters, two of them at a time, for as long as that lowers the sum of costs.

    ``costs`` is points x clusters. The points of two clusters are split the best way there is: by the
    difference of their two costs. What is returned no exchange of two points improves, and it costs no more
    than ``members``.
    """
    members, least = members.copy(), _LEAST_GAIN * float(np.abs(costs).max(initial=0.0))
    while pairs := _gaining(costs, members, least):
        for one, other in pairs:
            points = np.concatenate([members[one], members[other]])
            order = np.argsort(costs[points, one] - costs[points, other], kind="stable")
            members[one], members[other] = np.split(points[order], 2)
    return members


def _gaining(costs: Floats, members: Members, least: float) -> list[tuple[int, int]]:
    """Return pairs of clusters that gain by an exchange, the largest gain first, no cluster twice."""
    of_members = costs[members]  # clusters x size x clusters
    own = np.arange(len(members))
    moving = (of_members[own, :, own][..., None] - of_members).max(axis=1)
    gains = moving + moving.T  # of a cluster with itself: 0
    pairs = []
    while gains.max(initial=0.0) > least:
        one, other = (int(place) for place in np.unravel_index(gains.argmax(), gains.shape))
        pairs.append((one, other))
        gains[[one, other]] = gains[:, [one, other]] = 0.0
    return pairs
