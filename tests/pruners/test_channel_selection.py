"""The number of channels kept: all that a budget allows, against a walk over every removal."""

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruners.channels.selection import least_kept, most_within, rounded

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)


def bilinear(sizes):
    """The cost of a chain of layers between groups of channels, with an input and an output of 3."""

    def cost(removed):
        widths = [3, *(size - removed.get(f"g{i}", 0) for i, size in enumerate(sizes)), 3]
        return sum(a * b for a, b in itertools.pairwise(widths))

    return cost


def ranked(scores):
    return sorted(range(len(scores)), key=lambda channel: (-scores[channel], channel))


def walked(scores, allocation, multiples, limit, cost):
    """Remove one channel after another until the budget holds, choosing each by looking at all."""
    left = {name: list(range(len(of))) for name, of in scores.items()}

    def kept():
        numbers = {name: rounded(len(left[name]), len(of), multiples[name]) for name, of in scores.items()}
        return {name: sorted(ranked(of)[: numbers[name]]) for name, of in scores.items()}

    while cost({name: len(of) - len(kept()[name]) for name, of in scores.items()}) > limit:
        worst = None
        for number, (name, channels) in enumerate(left.items()):
            size = len(scores[name])
            if len(channels) <= least_kept(size, multiples[name]):
                continue
            lowest = min(channels, key=lambda i: (scores[name][i], -i))
            key = (size - len(channels) + 0.5) / size if allocation == "uniform" else scores[name][lowest]
            if worst is None or (key, -number) < worst[0]:
                worst = ((key, -number), name, lowest)
        left[worst[1]].remove(worst[2])
    return kept()


@given(st.data())
def test_as_many_as_the_budget_allows(data):
    sizes = data.draw(SIZES)
    # few values, so that there are ties within groups and between them
    scores = {
        f"g{i}": torch.tensor(data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))).double()
        for i, n in enumerate(sizes)
    }
    allocation = data.draw(st.sampled_from(["global", "uniform"]))
    multiples = {name: data.draw(st.integers(1, 4)) for name in scores}
    cost = bilinear(sizes)
    least = cost({name: len(of) - least_kept(len(of), multiples[name]) for name, of in scores.items()})
    limit = data.draw(st.integers(least, cost({}) + 3))
    kept = most_within(scores, allocation, multiples, limit, cost)
    as_lists = {name: np.asarray(of).tolist() for name, of in scores.items()}
    assert {name: index.tolist() for name, index in kept.items()} == walked(
        as_lists, allocation, multiples, limit, cost
    )
    assert cost({name: len(scores[name]) - len(index) for name, index in kept.items()}) <= limit
