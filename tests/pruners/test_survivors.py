"""Weights that compete for ever fewer places."""

import torch

from pruners.sparse.selection.survivors import Survivors


def test_layers_of_different_precision_are_compared_exactly():
    single, double = (
        torch.tensor([1.0], dtype=torch.float32),
        torch.tensor([1.0 + 2**-40], dtype=torch.float64),
    )
    pool = Survivors(["a", "b"], {"a": torch.ones(1, dtype=torch.bool), "b": torch.ones(1, dtype=torch.bool)})
    pool.keep_highest({"a": single, "b": double}, 1, 0)
    assert [mask.tolist() for mask in pool.masks.values()] == [[False], [True]]
