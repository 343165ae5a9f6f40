"""The same seed gives the same trial results on one node, on two, and without Ray."""

from pathlib import Path

import pytest

from tests.plugins.cluster import HEAD_IP, SECOND_IP, Cluster
from tests.sweeps.cluster.conftest import StudyOnCluster

pytestmark = pytest.mark.timeout(900)

NETWORK = '''
"""A user's own module, in a folder that no worker has on its path; it leaves a trace of every node."""
import pathlib
import ray
import torch

if ray.is_initialized():
    pathlib.Path("{trace}", ray.util.get_node_ip_address()).touch()


def narrow(channels):
    layers = [torch.nn.Conv2d(1, channels, 3), torch.nn.BatchNorm2d(channels)]
    layers += [torch.nn.ReLU(), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(36 * channels, 10))
'''


def test_same_results_on_one_node_on_two_and_in_process(tmp_path, cluster):
    two_nodes, in_process, one_node = (
        study(tmp_path / name, cluster) for name in ("two_nodes", "in_process", "one_node")
    )
    with two_nodes, in_process, one_node:
        two_nodes.finish()
        in_process.finish("--in-process")
        cluster.kill_second()
        try:
            one_node.finish()
        finally:
            cluster.restart_second()

    assert in_process.results() == two_nodes.results() == one_node.results()
    assert len(in_process.results()) == 6
    assert in_process.trained_epochs() == two_nodes.trained_epochs() == one_node.trained_epochs()
    assert sorted(p.name for p in (tmp_path / "two_nodes" / "nodes").iterdir()) == [HEAD_IP, SECOND_IP]
    assert [p.name for p in (tmp_path / "one_node" / "nodes").iterdir()] == [HEAD_IP]


def study(folder: Path, cluster: Cluster) -> StudyOnCluster:
    """A sweep over a network of the user's own, with two replicates."""
    (folder / "nodes").mkdir(parents=True)
    (folder / "my_networks.py").write_text(NETWORK.format(trace=folder / "nodes"))
    task = {"network": "my_networks:narrow", "network_options": {"channels": 24}, "data": "digits"}
    return StudyOnCluster(folder, cluster, task=task, run_cap=6, replicates=2, resources={"concurrent": 4})
