"""In CI nothing is skipped: a skip there is a failure, tests that need a GPU excepted."""

import os
from collections.abc import Generator

import pytest


def in_ci() -> bool:
    """Whether this run decides if a change lands."""
    return os.environ.get("CI") == "true"


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What the skipping test or module gave as its reason."""
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


def fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a report of a skip into one of a failure."""
    report.longrepr = f"Nothing may be skipped in CI. {reason_of(report)}"
    report.outcome = "failed"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped and in_ci() and not expected_failure and item.get_closest_marker("gpu") is None:
        fail(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and in_ci():
        fail(report)
    return report
