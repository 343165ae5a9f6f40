"""A screening outlives its driver and its workers, while curves are measured and while it scores."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from sweeps.study import storage
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import TRIAL_METRICS
from sweeps.study.screening import name_of_screening
from tests.plugins.cluster import Cluster
from tests.plugins.until import until
from tests.sweeps.cluster.conftest import StudyOnCluster
from trainables.metric_names import DIVERGENCE

pytestmark = pytest.mark.timeout(900)
SCREENED = {
    "training": {"epochs": 1, "batch_size": 128, "lr": 0.05},
    "compression": {
        "method": "calibrated",
        "calibration_images": 64,
        "options": {"error": "measured"},
        "retrain_epochs": 1,
    },
    "budget": {"keep_ratio": 0.2},
    "parameters": {},
    "per_layer": {"scale": {"spread": 0.3}},
    "method": "cmaes",
    "screen": {"trials": 12, "images": 64},
    "run_cap": 3,
}


@pytest.fixture
def screened_on_cluster(tmp_path: Path, cluster: Cluster) -> Iterator[StudyOnCluster]:
    with StudyOnCluster(tmp_path, cluster, **SCREENED) as study:
        yield study


def scores(folder: Path) -> list[tuple[dict[str, float], float]]:
    """Parameters and scores of the screened trials so far; none before the screening has begun."""
    try:
        study = storage.load(StudyPaths(folder), name_of_screening("survivor"), None)
    except (KeyError, OSError):
        return []
    rows = study.get_trials(deepcopy=False)
    return [(r.params, r.user_attrs[TRIAL_METRICS][DIVERGENCE]) for r in rows if r.state.name == "COMPLETE"]


def curves(folder: Path) -> int:
    """How many layers' curves are in the store: what is computed of a network as data."""
    return len([path for path in (folder / "store").rglob("*-*.json") if len(path.stem) > 64])


def screening_workers() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # gone meanwhile
            if any("ray::_Kept" in word for word in process.cmdline()):
                found.append(process)
    return found


def test_killed_while_it_measures_and_while_it_scores(
    screened_on_cluster: StudyOnCluster, tmp_path_factory: pytest.TempPathFactory, cluster: Cluster
) -> None:
    with StudyOnCluster(tmp_path_factory.mktemp("undisturbed"), cluster, **SCREENED) as undisturbed:
        undisturbed.finish("--in-process")
    study = screened_on_cluster
    driver = study.start()
    until(lambda: curves(study.out) >= 2, 120)
    study.kill(driver)
    assert not scores(study.out), "curves were measured already before the driver was killed"

    driver = study.start()
    until(lambda: len(scores(study.out)) >= 2, 120)
    study.kill(driver)
    assert len(scores(study.out)) < 12, "the screening was over before its driver could be killed"

    driver = study.start()
    until(lambda: bool(screening_workers()), 120)
    for worker in screening_workers():
        worker.kill()
    printed, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, printed + errors
    assert scores(study.out) == scores(undisturbed.out) and len(scores(study.out)) == 12
    assert study.results() == undisturbed.results() and study.status()["complete"] == 3
