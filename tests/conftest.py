"""What holds for every test, and for the commands that tests start.

It is set before torch, Ray or wandb is imported.
"""

import gc
import os
import secrets
import sys
import warnings

import pytest

pytest_plugins = [
    "pytester",
    "tests.plugins.no_skips",
    "tests.plugins.two_cores",
    "tests.plugins.s3",
    "tests.plugins.cluster",
    "tests.plugins.hosts",
    "tests.plugins.postgresql",
]

os.environ |= {
    # One thread: many busy processes with two threads each take 46 times the CPU time.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Clusters of tests ask for a token of their own, and Ray writes none into the home folder.
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
}


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    """End wandb's service, which an in-process study leaves running: pytest's closing line is the last.

    A service that a test killed was never waited for by wandb; Python's complaint about that is nobody's
    failure here.
    """
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
