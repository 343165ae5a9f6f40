"""One Chromium for the session, and studies of masks and tickets that are really run; no run of W&B."""

import os
from collections.abc import Iterator

import pytest

import pruners
from sweeps import StudyRecord

from . import sparse_studies
from .chromium import CHROMIUM, Browser, Page, chromium


@pytest.fixture(scope="session")
def lottery(without_wandb: None, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return sparse_studies.lottery(tmp_path_factory.mktemp("s") / "tickets")


@pytest.fixture(scope="session")
def two_rewind_points(without_wandb: None, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return sparse_studies.two_rewind_points(tmp_path_factory.mktemp("s") / "rewinding")


@pytest.fixture(scope="session")
def at_initialisation(without_wandb: None, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return sparse_studies.at_initialisation(tmp_path_factory.mktemp("s") / "masks")


@pytest.fixture(scope="session")
def with_empty_layers(without_wandb: None, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    with pytest.warns(pruners.PrunerWarning, match="min_layer_keep"):
        return sparse_studies.with_empty_layers(tmp_path_factory.mktemp("s") / "empty")


@pytest.fixture(scope="session")
def without_dense(without_wandb: None, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return sparse_studies.without_dense(tmp_path_factory.mktemp("s") / "search")


@pytest.fixture(scope="session")
def without_wandb() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        yield


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not CHROMIUM.exists():
        missing = f"{CHROMIUM} is missing: apt-get install chromium"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.page() as opened:
        yield opened
