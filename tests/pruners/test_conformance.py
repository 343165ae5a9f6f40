"""Every method that chooses ranks, held to the suite that users inherit; a new one without another line."""

import pytest

import pruners
from pruners.testing import RankMethodSuite


class TestRankMethods(RankMethodSuite):
    @pytest.fixture(
        autouse=True, params=[name for name, m in pruners.methods().items() if m.kind == "decomposition"]
    )
    def _each(self, request: pytest.FixtureRequest) -> None:
        self.method = request.param
