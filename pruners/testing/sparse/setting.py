"""What the tests of a method that scores single weights are given."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pruners
from pruners.testing.method_suite import MethodSuite
from pruners.testing.sparse.network import OddNetwork, given


class ScoreMethodSetting(MethodSuite):
    """The network, and what it is compressed and scored with."""

    @pytest.fixture
    def model(self) -> OddNetwork:
        """Make the network that most tests prune."""
        return OddNetwork()

    def compressed(self, model: nn.Module, **asked: Any) -> pruners.Mask:
        """Compress a model by the method."""
        mask = pruners.compress(model, self.method, **{**given(_dtype(model)), **asked})
        assert isinstance(mask, pruners.Mask)
        return mask

    def scored(self, model: nn.Module, **asked: Any) -> dict[str, Tensor]:
        """Score a model's weights by the method."""
        return pruners.scores(model, self.method, **{**given(_dtype(model)), **asked})


def equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Tell whether two mappings hold the same tensors by the same names."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _dtype(model: nn.Module) -> torch.dtype:
    return next(model.parameters()).dtype
