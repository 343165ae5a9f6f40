"""A study on an object store, run by workers on two nodes that share nothing else."""

import time
from pathlib import Path

import pytest

from sweeps.study import storage
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import outcome_of, root_of
from tests.plugins.cluster import Cluster
from tests.plugins.s3 import S3Server
from tests.sweeps.cluster.conftest import StudyOnCluster
from trainables.places.place import place_of

pytestmark = pytest.mark.timeout(900)
CONCURRENT = 4
SMALL = {
    "training": {"epochs": 2, "batch_size": 256, "lr": 0.05},
    "compression": {"method": "alds", "retrain_epochs": 1},
    "resources": {"concurrent": CONCURRENT},
    "run_cap": 6,
}


def test_server_and_driver_are_killed_and_the_study_counts_exactly(
    tmp_path: Path, cluster: Cluster, s3: str, s3_server: S3Server
) -> None:
    with StudyOnCluster(tmp_path, cluster, **SMALL) as study:
        study.out = place_of(s3)
        driver = study.start()
        while not list(study.out.glob("trials/*/result.json")):
            assert driver.poll() is None
            time.sleep(0.1)
        s3_server.kill()
        time.sleep(3)
        s3_server.start()
        time.sleep(2)
        assert driver.poll() is None, driver.communicate()
        study.kill(driver)
        study.finish()
        status = study.status()
        assert (status["complete"], status["failed"], status["running"], status["target"]) == (6, 0, 0, 6)
        rows = storage.load(StudyPaths(study.out), "survivor", None).get_trials(deepcopy=False)
        ends = [root_of(row) for row in rows if outcome_of(row) == "complete"]
        assert len(ends) == len(set(ends)) == 6
        assert study.repeated_epochs() <= CONCURRENT
