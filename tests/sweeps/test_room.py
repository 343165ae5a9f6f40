"""How many trials are asked for: as many as there is room for now, or will be once the cluster has grown."""

from pathlib import Path

import pytest
import yaml

from sweeps.running.on_ray import room
from sweeps.sweep_file.keys import Resources

GB = 10**9
CLUSTER = {
    "max_workers": 5,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 2}, "max_workers": 0},
        "cpu": {"resources": {"CPU": 8, "memory": 16 * GB}, "max_workers": 4},
        "gpu": {"resources": {"CPU": 4, "GPU": 1, "accelerator_type:L4": 1}, "max_workers": 3},
    },
}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"cpus": 1}, 2 + 4 * 8 + 1 * 4),
        ({"cpus": 3}, 4 * 2 + 1 * 1),
        ({"gpus": 0.5}, 3 * 2),
        ({"accelerator": "L4", "gpus": 1}, 3),
        ({"accelerator": "A100", "gpus": 1}, 0),
        ({"memory": "6GB"}, 4 * 2),
        ({"cpus": 9}, 0),
        ({"gpus": 1, "processes": 2}, 1),
        ({"cpus": 4, "processes": 4}, (4 * 2 + 1) // 4),
        ({"gpus": 1, "processes": 4}, 0),
    ],
)
def test_a_cluster_is_known_to_grow_to_its_files_limits(
    tmp_path: Path, asked: dict[str, object], expected: int
) -> None:
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(CLUSTER))
    assert room.once_grown(Resources.model_validate(asked), tmp_path / "cluster.yaml") == expected


def test_where_no_cluster_was_brought_up_nothing_grows(tmp_path: Path) -> None:
    assert room.once_grown(Resources(), tmp_path / "none.yaml") == 0
    (tmp_path / "broken.yaml").write_text("[")
    assert room.once_grown(Resources(), tmp_path / "broken.yaml") == 0


def test_a_node_holds_no_more_than_its_scarcest_resource() -> None:
    node = {"CPU": 8.0, "GPU": 1.0, "memory": 10.0 * GB, "accelerator_type:L4": 1.0}
    assert room.held(node, Resources(cpus=2)) == 4
    assert room.held(node, Resources(cpus=1, gpus=0.25)) == 4
    assert room.held(node, Resources.model_validate({"memory": "3GB"})) == 3
    assert room.held(node, Resources(accelerator="A100")) == 0


def test_a_trial_of_several_processes_asks_for_a_bundle_each() -> None:
    alone = {"cpus": 2, "gpus": 1, "memory": "3GB", "accelerator": "L4"}
    bundle = {"CPU": 2, "GPU": 1, "memory": 3 * GB, "accelerator_type:L4": 0.001}
    for processes in (1, 2):
        asked = room.request(Resources.model_validate(alone | {"processes": processes}))({"avoided": []})
        assert (asked.bundles, asked.strategy) == ([bundle] * processes, "PACK")
