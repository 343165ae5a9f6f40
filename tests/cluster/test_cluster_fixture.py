import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tests.plugins.cluster import HEAD_IP, SECOND_IP, Cluster

FLOORS = ["pruners", "trainables", "sweeps"]


@ray.remote(num_cpus=1)
def look(modules: list[str]) -> tuple[str, dict[str, str | None]]:
    """The interpreter of one worker, and the greeting of each of ``modules`` that it can import."""
    import importlib
    import importlib.util
    import sys

    greetings = {
        name: importlib.import_module(name).GREETING if importlib.util.find_spec(name) else None
        for name in modules
    }
    return sys.executable, greetings


@pytest.fixture(scope="module")
def nodes(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """The nodes by address, seen by a driver that ships a package and a file which exist nowhere else."""
    shipped = tmp_path_factory.mktemp("shipped")
    (shipped / "shipped_package").mkdir()
    (shipped / "shipped_package" / "__init__.py").write_text("GREETING = 'package'\n")
    (shipped / "shipped_file.py").write_text("GREETING = 'file'\n")
    ray.init(address=cluster.address, runtime_env={"working_dir": str(shipped)}, log_to_driver=False)
    yield {node["NodeManagerAddress"]: node for node in ray.nodes() if node["Alive"]}
    ray.shutdown()


def test_two_nodes_of_two_cpus_joined(nodes: dict[str, dict[str, Any]]) -> None:
    assert {address: node["Resources"]["CPU"] for address, node in nodes.items()} == {
        HEAD_IP: 2,
        SECOND_IP: 2,
    }
    assert ray.get_runtime_context().get_node_id() == nodes[HEAD_IP]["NodeID"], (
        "a driver must not depend on the node that tests kill"
    )


def test_the_nodes_python_has_our_libraries_and_never_saw_this_project(
    cluster: Cluster, tmp_path: Path
) -> None:
    names = ["torch", "ray", *FLOORS]
    code = f"from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    result = subprocess.run(
        [str(cluster.python), "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == "['torch', 'ray']"


@pytest.mark.parametrize("address", [HEAD_IP, SECOND_IP])
def test_a_worker_imports_what_the_driver_ships_and_nothing_else_of_ours(
    cluster: Cluster, nodes: dict[str, dict[str, Any]], address: str
) -> None:
    there = look.options(
        scheduling_strategy=NodeAffinitySchedulingStrategy(nodes[address]["NodeID"], soft=False)
    )
    python, greetings = ray.get(there.remote(["shipped_package", "shipped_file", *FLOORS]), timeout=60)
    assert python == str(cluster.python)
    assert greetings == {"shipped_package": "package", "shipped_file": "file", **dict.fromkeys(FLOORS)}


def test_the_second_node_can_be_lost_and_replaced(cluster: Cluster) -> None:
    cluster.kill_second()
    assert cluster.alive() == 1
    cluster.restart_second()
    assert cluster.alive() == 2


def test_who_has_not_the_token_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    code = (
        "from ray._raylet import GcsClient; "
        f"GcsClient(address={cluster.address!r}).get_all_node_info(timeout=5)"
    )
    result = subprocess.run([str(cluster.python), "-c", code], capture_output=True, text=True, timeout=60)
    assert "InvalidAuthToken" in result.stderr, result.stderr[-2000:]
