import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """``cluster.yaml`` as ``ray up`` completes it before it speaks to AWS."""
    return prepare_config(yaml.safe_load((PROJECT / "cluster.yaml").read_text()))


def test_rays_own_validation_accepts_it(config: dict[str, Any]) -> None:
    validate_config(config)


def test_the_dashboard_stays_on_loopback(config: dict[str, Any]) -> None:
    start = config["head_start_ray_commands"][-1]
    assert "ray start --head" in start
    assert "--dashboard-host=127.0.0.1" in start


def test_every_node_asks_for_the_token_and_has_it(config: dict[str, Any]) -> None:
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        assert commands[-1].split("ray start")[0].split(";")[-1].strip().startswith("RAY_AUTH_MODE=token ")
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_every_node_installs_the_pinned_requirements_from_what_is_copied(
    config: dict[str, Any], tmp_path: Path
) -> None:
    assert "cd ~/tombola && make setup" in config["setup_commands"]
    for remote, local in config["file_mounts"].items():
        if remote.startswith("~/tombola/"):
            copy = tmp_path / remote.removeprefix("~/tombola/")
            shutil.copytree(PROJECT / local, copy) if (PROJECT / local).is_dir() else shutil.copy(
                PROJECT / local, copy
            )
    setup = subprocess.run(
        ["make", "--dry-run", "setup"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert "--requirements requirements.txt" in setup
    assert "--no-deps --editable ." in setup
    assert "--requirements requirements-cluster.txt" in config["head_setup_commands"][-1]
    assert (tmp_path / "requirements-cluster.txt").exists()


def test_workers_are_between_none_and_max_workers(config: dict[str, Any]) -> None:
    worker = config["available_node_types"]["worker"]
    assert (worker["min_workers"], worker["max_workers"]) == (0, config["max_workers"])
    assert config["available_node_types"][config["head_node_type"]]["resources"] == {"CPU": 0}
