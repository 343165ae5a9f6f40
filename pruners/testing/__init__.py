"""The conformance suites that every method of Tombola passes, for a method of your own: inherit one.

    class TestMine(pruners.testing.RankMethodSuite):
        method = "my_package.mine:Rule"

pytest then runs some thirty tests of it. They need pytest, which ``pip install tombola[testing]`` brings.
"""

import pytest

for room in ("channels", "lowrank", "sparse"):
    pytest.register_assert_rewrite(f"pruners.testing.{room}")  # a failure shows both sides

from pruners.testing.channels.suite import ChannelMethodSuite  # noqa: E402
from pruners.testing.lowrank.suite import RankMethodSuite  # noqa: E402
from pruners.testing.sparse.suite import ScoreMethodSuite  # noqa: E402

__all__ = ["ChannelMethodSuite", "RankMethodSuite", "ScoreMethodSuite"]
