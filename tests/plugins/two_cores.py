"""Keep in one process of pytest-xdist the tests that share something slow to make."""

import pytest

_CLUSTER = "cluster"  # one Ray cluster per test session
_STUDIES = "tests/report/"  # its files look at the same studies in the same browser


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the group that must not be torn apart: the cluster's, the report's or its file's."""
    files = {
        item.nodeid.partition("::")[0] for item in items if _CLUSTER in getattr(item, "fixturenames", ())
    }
    for item in items:
        file = item.nodeid.partition("::")[0]
        group = _CLUSTER if file in files else _STUDIES if file.startswith(_STUDIES) else file
        item.add_marker(pytest.mark.xdist_group(group))
