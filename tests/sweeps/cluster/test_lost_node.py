"""A node that is lost in mid-sweep: its trials go on elsewhere, and it is no crash of theirs."""

import json

import pytest

from tests.plugins.cluster import Cluster
from tests.plugins.until import until
from tests.sweeps.cluster.conftest import StudyOnCluster

pytestmark = pytest.mark.timeout(600)


def trainers(study: StudyOnCluster) -> set[int]:
    """The processes that have trained an epoch, by the store's training logs."""
    logs = study.out.glob("store/*/*/training_log.jsonl")
    return {json.loads(line)["pid"] for log in logs for line in log.read_text().splitlines()}


def test_a_lost_node_is_told_from_a_crash(study_on_cluster: StudyOnCluster, cluster: Cluster) -> None:
    study = study_on_cluster
    driver = study.start("--trials", "8", "--set", "resources.concurrent=4")
    until(lambda: bool(trainers(study) & {process.pid for process in cluster.second.processes()}))
    cluster.kill_second()
    cluster.restart_second()
    printed, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, printed + errors
    status = study.status()
    assert (status["complete"], status["failed"], status["running"]) == (8, 0, 0)
    assert status["deaths"].get("unreachable", 0) >= 1, status["deaths"]
    assert "crashed" not in status["deaths"], status["deaths"]
