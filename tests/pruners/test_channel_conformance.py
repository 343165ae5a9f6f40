"""Every method that removes channels, held to the suite that users inherit; a new one likewise."""

import pytest

import pruners
from pruners.testing import ChannelMethodSuite


class TestChannelMethods(ChannelMethodSuite):
    @pytest.fixture(
        autouse=True, params=[name for name, m in pruners.methods().items() if m.kind == "channels"]
    )
    def _each(self, request: pytest.FixtureRequest) -> None:
        self.method = request.param
