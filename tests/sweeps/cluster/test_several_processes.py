"""A study whose trials train with two processes each, one on each node, of which one is lost."""

import psutil
import pytest
from ray._raylet import GcsClient

from tests.plugins.cluster import Cluster, Node
from tests.plugins.until import until
from tests.sweeps.cluster.conftest import StudyOnCluster

pytestmark = pytest.mark.timeout(900)


def peers(node: Node) -> list[psutil.Process]:
    """The processes of a node, a trial's child or actors, that share a training."""
    found = []
    for process in node.processes():
        try:
            line = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if "trainables.execution.member" in line or "ray::_Peer" in line:
            found.append(process)
    return found


def most_memory(cluster: Cluster) -> int:
    """So many bytes that each node holds one process only."""
    nodes = GcsClient(address=cluster.address).get_all_node_info(timeout=30).values()
    return int(0.7 * min(node.resources_total["memory"] for node in nodes if node.state == 0))


def test_a_lost_process_of_a_trial_costs_an_epoch(tmp_path, cluster):
    """Trials are stopped early meanwhile, and nothing is left behind."""
    changes = {
        "resources": {"processes": 2, "memory": most_memory(cluster)},
        "training": {"epochs": 6, "batch_size": 128, "lr": 0.05},
        "parameters": {"compression.options.metric": {"values": ["max", "sum", "frobenius"]}},
        "method": "grid",
        "run_cap": 3,
        "early_terminate": {"type": "asha", "min_iter": 1, "max_iter": 3, "eta": 3},
    }
    with StudyOnCluster(tmp_path, cluster, **changes) as study:
        driver = study.start()
        until(lambda: all(map(peers, cluster.nodes)) or driver.poll() is not None, 240)
        assert driver.poll() is None, driver.communicate()
        both = [one for node in cluster.nodes for one in peers(node)]
        (actor,) = (one for one in both if "ray::_Peer" in " ".join(one.cmdline()))
        until(lambda: study.trained_epochs() >= 2, 240)
        actor.kill()
        printed, errors = driver.communicate(timeout=400)
        assert driver.returncode == 0, printed + errors
        status = study.status()
        assert (status["failed"], status["deaths"]) == (0, {"crashed": 1})
        assert status["complete"] + status["stopped_early"] == 3
        assert study.repeated_epochs() == 1
        until(lambda: not any(map(peers, cluster.nodes)), 60)
