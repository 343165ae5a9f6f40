"""A W&B server on loopback, and a wandb that knows nothing but it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from sweeps.study.paths import StudyPaths

from .wandb_server import WandbServer, wandb_server


@pytest.fixture(autouse=True)
def fresh_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """wandb reads its environment once a process: begin and end each test without one it has read."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def server(fresh_wandb: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with wandb_server() as running:
        monkeypatch.setenv("WANDB_BASE_URL", running.url)
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        yield running
        wandb.teardown()  # before its server is gone, or it waits for it


@pytest.fixture
def paths(tmp_path: Path) -> StudyPaths:
    study = StudyPaths(tmp_path / "study")
    study.root.mkdir()
    return study
