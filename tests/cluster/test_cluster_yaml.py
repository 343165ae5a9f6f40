"""The files of `ray up`, and what stands beside them, checked without a cloud."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from clusters import write
from sweeps.cluster.cluster_file import read
from sweeps.commands.run import run
from sweeps.errors import SweepError

PROJECT = Path(__file__).parents[2]
CLOUDS = ["aws", "azure", "gcp"]


@pytest.fixture(params=sorted(write.FILES))
def name(request: pytest.FixtureRequest) -> str:
    """The provider of each file in turn."""
    provider: str = request.param
    return provider


@pytest.fixture
def config(name: str) -> dict[str, Any]:
    """The file as ``ray up`` completes it before it speaks to the provider."""
    completed: dict[str, Any] = prepare_config(yaml.safe_load(write.path(name).read_text()))
    return completed


def test_it_is_what_make_clusters_writes(name: str) -> None:
    assert write.path(name).read_text() == write.text(name)


def test_rays_own_validation_accepts_it(config: dict[str, Any]) -> None:
    validate_config(config)


def test_the_dashboard_stays_on_loopback(config: dict[str, Any]) -> None:
    start = config["head_start_ray_commands"][-1]
    assert "ray start --head" in start
    assert "--dashboard-host=127.0.0.1" in start


def test_every_node_asks_for_the_token_and_has_it(config: dict[str, Any]) -> None:
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token ~/tombola/.venv/bin/ray start" in commands[-1]
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_every_node_installs_the_pinned_requirements_from_what_is_copied(
    config: dict[str, Any], tmp_path: Path
) -> None:
    assert any("cd ~/tombola && make setup" in command for command in config["setup_commands"])
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
    assert any("--requirements requirements-cluster.txt" in command for command in config["setup_commands"])
    assert (tmp_path / "requirements-cluster.txt").exists()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_workers_of_a_cloud_come_and_go_and_the_head_runs_no_trial(cloud: str) -> None:
    config = prepare_config(yaml.safe_load(write.path(cloud).read_text()))
    kinds = config["available_node_types"]
    assert kinds.pop(config["head_node_type"])["resources"] == {"CPU": 0}
    assert {kind["min_workers"] for kind in kinds.values()} == {0}
    assert sum(kind["max_workers"] for kind in kinds.values()) == config["max_workers"]
    assert config["idle_timeout_minutes"] <= 10


def test_on_aws_nodes_are_in_the_stacks_group_and_have_the_stacks_roles() -> None:
    config = yaml.safe_load(write.path("aws").read_text())
    stack = yaml.load((PROJECT / "clusters/aws-stack.yaml").read_text(), Loader=_CloudFormation)["Resources"]
    assert config["provider"]["security_group"] == {"GroupName": stack["Nodes"]["Properties"]["GroupName"]}
    profiles = {
        kind["node_config"]["IamInstanceProfile"]["Name"] for kind in config["available_node_types"].values()
    }
    assert profiles == {
        stack[name]["Properties"]["InstanceProfileName"] for name in ("HeadProfile", "WorkerProfile")
    }
    assert stack["NameOfStudies"]["Properties"]["Name"] in str(config["setup_commands"])


class _CloudFormation(yaml.SafeLoader):
    """YAML with Amazon's tags, whose values stay what they are."""


_CloudFormation.add_multi_constructor(
    "!",
    lambda loader, _, node: (
        loader.construct_scalar(node)
        if isinstance(node, yaml.ScalarNode)
        else loader.construct_sequence(node)
    ),
)


def test_the_stack_is_sound_to_amazons_own_checker() -> None:
    checker = Path(sys.executable).with_name("cfn-lint")
    found = subprocess.run(
        [checker, PROJECT / "clusters/aws-stack.yaml"], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_the_stack_lets_nobody_in_but_by_ssh_from_one_place() -> None:
    stack = yaml.load((PROJECT / "clusters/aws-stack.yaml").read_text(), Loader=_CloudFormation)
    (rule,) = stack["Resources"]["Nodes"]["Properties"]["SecurityGroupIngress"]
    assert (rule["FromPort"], rule["ToPort"], rule["CidrIp"]) == (22, 22, "SshFrom")
    pattern = re.compile(stack["Parameters"]["SshFrom"]["AllowedPattern"])
    assert pattern.match("203.0.113.7/32")
    assert not pattern.match("0.0.0.0/0")


def test_on_kubernetes_every_pod_has_the_image_and_the_volumes_and_the_job_is_a_command_of_ours() -> None:
    claim, cluster, job = yaml.safe_load_all((PROJECT / "clusters/kubernetes.yaml").read_text())
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        (container,) = pod["containers"]
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounted == {"studies": "/studies", "sweep": "/sweep"}
        assert {volume["name"] for volume in pod["volumes"]} == mounted.keys()
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    words = shlex.split(job["spec"]["entrypoint"].partition("tombola run ")[2])
    given = run.make_context("run", words, resilient_parsing=False).params
    assert (given["address"], str(given["out"])) == ("auto", "/studies/first")


def test_a_file_that_is_not_filled_in_is_refused_by_its_line() -> None:
    path = write.path("local")
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "head_ip: FILL-IN" in text)
    with pytest.raises(SweepError, match=f"local.yaml, line {line}: FILL-IN is still there"):
        read(path)
