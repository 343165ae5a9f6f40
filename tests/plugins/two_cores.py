"""Keep in one process of pytest-xdist the tests that share something slow to make."""

import pytest
from xdist.scheduler import LoadScopeScheduling

_TOGETHER = {
    "tests/cluster/test_ray_up.py": "ray up",  # a cluster of its own, on hosts of its own
    "tests/sweeps/cluster/": "cluster",  # one Ray cluster per test session
    "tests/cluster/": "cluster",
    "tests/objects/": "objects",  # one S3 server
    "tests/report/": "report",  # its files look at the same studies in the same browser
}


class TwoCores(LoadScopeScheduling):
    """Give a process whole files, and all files that share a cluster or studies."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((group for folder, group in _TOGETHER.items() if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> TwoCores:
    """Return the scheduler of `make test`: the groups of xdist 3.8 do nothing beside pytest 9.2."""
    return TwoCores(config, log)
