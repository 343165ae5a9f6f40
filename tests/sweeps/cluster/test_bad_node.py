"""A node on which workers die is avoided, and used again once no other is left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.cluster import HEAD_IP, Cluster
from tests.plugins.until import until
from tests.sweeps.cluster.conftest import StudyOnCluster, ended

pytestmark = pytest.mark.timeout(600)

NETWORK = '''
"""A network that takes its process down on one node while a file is there; elsewhere it waits for deaths,

and as long as it is held.
"""
import os
import pathlib
import time
import ray
import torch


def fragile(bad_node, file):
    if ray.is_initialized() and ray.get_runtime_context().get_actor_id():
        is_bad, deaths = ray.util.get_node_ip_address() == bad_node, pathlib.Path(file)
        while deaths.exists() and (is_bad or deaths.stat().st_size < 3):
            if is_bad:
                with deaths.open("a") as file:
                    file.write("x")
                os._exit(1)
            time.sleep(0.1)
        while (held := deaths.with_name("held")).exists():
            held.with_name("waits").touch()
            time.sleep(0.1)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.Linear(32, 10))
'''


class FragileStudy(StudyOnCluster):
    """A sweep over a network that kills workers on one of the two nodes."""

    def __init__(self, folder: Path, cluster: Cluster, bad_node: str, trials: int):
        (folder / "fragile_networks.py").write_text(NETWORK)
        self.broken = folder / "broken"
        self.broken.touch()
        options = {"bad_node": bad_node, "file": str(self.broken)}
        super().__init__(
            folder,
            cluster,
            task={"network": "fragile_networks:fragile", "network_options": options, "data": "digits"},
            training={"epochs": 1, "batch_size": 256, "lr": 0.05},
            compression={"method": "alds"},
            # more than there is room for: two wait on the good node, two die on the bad one and wait for the
            # good one, and the next are to go to the bad one
            resources={"cpus": 1, "concurrent": 6},
            run_cap=trials,
        )

    def deaths(self) -> int:
        return len(self.broken.read_text())


@pytest.fixture
def whole_cluster(cluster: Cluster) -> Iterator[Cluster]:
    yield cluster
    if cluster.alive() < 2:
        cluster.restart_second()


def test_a_node_where_workers_die_is_avoided_as_long_as_there_is_another(
    tmp_path: Path, whole_cluster: Cluster
) -> None:
    with FragileStudy(tmp_path, whole_cluster, HEAD_IP, trials=16) as study:
        driver = study.start()
        until(lambda: study.deaths() >= 3 and ended(study.out) >= 4, 240)
        held = study.broken.with_name("held")
        held.touch()  # else the last trial may be over before the node is lost
        until(lambda: held.with_name("waits").exists())
        study.broken.unlink()
        whole_cluster.kill_second()
        held.unlink()
        printed, errors = driver.communicate(timeout=400)
        assert driver.returncode == 0, printed + errors
        status = study.status()
        assert (status["complete"], status["failed"], status["running"]) == (16, 0, 0)
        assert 3 <= status["deaths"]["crashed"] <= 8, status["deaths"]
        assert status["deaths"]["preempted"] >= 1, "no trial was on the node that was lost"
        assert errors.count(f"Node {HEAD_IP} gets no more trials while others have room") == 1, errors
