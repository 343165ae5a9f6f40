"""Every method that scores single weights, held to the suite that users inherit; a new one likewise."""

import pytest

import pruners
from pruners.testing import ScoreMethodSuite


class TestScoreMethods(ScoreMethodSuite):
    @pytest.fixture(autouse=True, params=[name for name, m in pruners.methods().items() if m.kind == "mask"])
    def _each(self, request: pytest.FixtureRequest) -> None:
        self.method = request.param
