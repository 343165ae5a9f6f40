"""Selection without sorting against a sort of everything."""

import pytest
import torch
from hypothesis import given, strategies

from pruners.sparse.selection.threshold import highest, highest_of_layers

# few values, so that there are many ties; among them two that only float64 tells apart, zeros of both signs
# and the least float
VALUES = strategies.sampled_from([-3.0, -0.0, 0.0, 5e-324, 1.0, 1.0 + 2**-40, 7.0, 1e300])
LAYER = strategies.lists(VALUES, max_size=12)


def brute_force(layers, count, least):
    """Sort by falling score, earlier first; every layer's best ``least`` go in front of all others."""
    ranked = []
    for number, layer in enumerate(layers):
        order = sorted(range(len(layer)), key=lambda i, layer=layer: (-layer[i], i))
        ranked += [(rank >= least, -layer[i], number, i) for rank, i in enumerate(order)]
    chosen = {entry[2:] for entry in sorted(ranked)[:count]}
    return [[(number, i) in chosen for i in range(len(layer))] for number, layer in enumerate(layers)]


@given(strategies.data(), strategies.lists(LAYER, min_size=1, max_size=4), strategies.integers(0, 4))
def test_the_same_as_sorting(data, layers, least):
    needed = sum(min(least, len(layer)) for layer in layers)
    count = data.draw(strategies.integers(needed, sum(map(len, layers))))
    scores = torch.tensor([score for layer in layers for score in layer], dtype=torch.float64)
    sizes = [len(layer) for layer in layers]
    assert [
        mask.tolist() for mask in highest_of_layers(scores, sizes, count, least).split(sizes)
    ] == brute_force(layers, count, least)


@pytest.mark.parametrize("count", [0, 1, 13, 99_999, 100_000])
def test_many_scores_of_few_values(count):
    scores = torch.randint(0, 5, (100_000,), generator=torch.Generator().manual_seed(0)).float()
    keep = highest(scores, count)
    order = torch.sort(scores, descending=True, stable=True).indices
    assert keep.sum() == count
    assert keep[order[:count]].all()
