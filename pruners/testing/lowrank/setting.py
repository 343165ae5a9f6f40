"""What the tests of a method that chooses ranks are given."""

from typing import Any

import pytest
from torch import Tensor, nn

import pruners
from pruners.lowrank.decomposition import LiveDecomposition
from pruners.testing.lowrank.networks import SideBySide, batch, images, small_network
from pruners.testing.method_suite import MethodSuite


class RankMethodSetting(MethodSuite):
    """Fixtures, and the images of a method that cannot do without."""

    @pytest.fixture
    def network(self) -> nn.Sequential:
        """Make the network that most tests compress."""
        return small_network()

    @pytest.fixture
    def batch(self) -> Tensor:
        """Draw a batch of the network's inputs."""
        return batch()

    def needed(self, model: nn.Module) -> dict[str, Any]:
        """Return a model's calibration images where the method needs some; factors stay the weights' own."""
        if "data" not in self.described().needs:
            return {}
        shape = (200,) if isinstance(model, SideBySide) else (4, 8, 8)
        return {"data": images(*shape).to(next(model.parameters()).dtype), "refit": "none"}

    def compressed(self, model: nn.Module, **given: Any) -> LiveDecomposition:
        """Compress a model by the method."""
        artifact = pruners.compress(model, self.method, **self.needed(model) | given)
        assert isinstance(artifact, LiveDecomposition)
        return artifact
