"""A cluster that does not let a driver in, and one whose head is lost under a driver on another machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sweeps.running.on_ray.head_watch import PATIENCE
from tests.plugins.cluster import Cluster
from tests.plugins.until import until
from tests.sweeps.cluster.conftest import SWEEP, StudyOnCluster, ended

pytestmark = pytest.mark.timeout(900)


def test_a_wrong_token_is_named(tmp_path: Path, cluster: Cluster) -> None:
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    command = [sys.executable, "-m", "tombola", "run", "sweep.yaml", "--address", cluster.address]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"RAY_AUTH_TOKEN": "0" * 64},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert f"Ray at {cluster.address} answers and does not let this command in." in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_study_goes_on_after_its_clusters_head_was_lost(tmp_path: Path, cluster: Cluster) -> None:
    with StudyOnCluster(tmp_path, cluster, run_cap=8) as study:
        driver = study.start()
        until(lambda: ended(study.out) >= 1, 200)
        cluster.head.kill()
        try:
            _, errors = driver.communicate(timeout=PATIENCE + 60)
        finally:
            cluster.stop()
            cluster.start()
        assert driver.returncode == 1
        assert f"the head of the Ray cluster at {cluster.address} has not answered" in errors
        assert f"tombola resume {study.out}" in errors
        study.finish()
        told = study.status()
        assert (told["complete"], told["failed"], told["running"]) == (8, 0, 0)
