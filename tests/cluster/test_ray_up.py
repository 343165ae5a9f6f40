"""`ray up`, a study from a laptop, lost machines: docs/cluster.md, word for word, on pseudo-hosts."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.plugins.hosts import PROJECT, Host, Hosts

pytestmark = pytest.mark.timeout(1200)

SWEEP = {
    "name": "first",
    "task": {"network": "my_networks:narrow", "network_options": {"channels": 24}, "data": "digits"},
    "training": {"epochs": 3, "batch_size": 128, "lr": 0.05},
    "compression": {"method": "alds", "retrain_epochs": 3, "recalibrate_bn": 128},
    "budget": {"keep_ratio": 0.4},
    "parameters": {"training.weight_decay": {"min": 0.0, "max": 0.001}},
    "method": "random",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "resources": {"cpus": 2},  # all of a host, as Ray counts them
    "run_cap": 1000,  # more than end before the test ends the study
    "seed": 7,
}
NETWORK = '''
"""A user's own module, which only the laptop has."""
import torch


def narrow(channels):
    layers = [torch.nn.Conv2d(1, channels, 3), torch.nn.BatchNorm2d(channels)]
    layers += [torch.nn.ReLU(), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(36 * channels, 10))
'''
RAY = "RAY_AUTH_MODE=token ~/tombola/.venv/bin/ray"


class Laptop:
    """The project's folder on the laptop, where docs/cluster.md is followed."""

    def __init__(self, hosts: Hosts):
        self.hosts = hosts
        page = (PROJECT / "docs/cluster.md").read_text()
        section = page.partition("## Machines of your own")[2].partition("\n## ")[0]
        self.lines = "".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL)).splitlines()

    def follow(self, verb: str, timeout: float = 300) -> str:
        """Give the page's next line, which must be the one with ``verb``; returns what it prints."""
        line = self.lines.pop(0)
        assert verb in line, f"docs/cluster.md says {line!r} where {verb} is to be done"
        return self.types(line.replace("SWEEP.yaml", "~/sweep.yaml").replace("NAME", "first"), timeout)

    def types(self, command: str, timeout: float = 300) -> str:
        """Give a command in the project's folder; returns what it prints."""
        return self.hosts.on_laptop(f"cd ~/project && {command}", timeout).stdout

    def status(self) -> dict[str, object]:
        """Return what `tombola status --json` says from afar."""
        told: dict[str, object] = json.loads(
            self.types(".venv/bin/tombola status first --json --cluster clusters/local.yaml")
        )
        return told

    def complete(self) -> int:
        """Count the trials that are complete, from afar."""
        return int(str(self.status()["complete"]))


@pytest.fixture(scope="module")
def laptop(hosts: Hosts) -> Iterator[Laptop]:
    """A laptop with the project, the addresses of the hosts filled in; the hosts have uv, as an image may."""
    project = hosts.laptop.home / "project"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, names):
        if not name.startswith(("tests/", "docs/", "bench/")) and (PROJECT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, project / name)
    for home in [project, *(node.home / "tombola" for node in hosts.nodes)]:
        venv = home / ".venv"
        python = Path(sys.base_prefix) / "bin" / "python3"
        subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
        shutil.copy2(Path(sys.executable).with_name("uv"), venv / "bin" / "uv")
    head, *workers = [node.address for node in hosts.nodes]
    file = project / "clusters" / "local.yaml"
    text = file.read_text().replace("head_ip: FILL-IN", f"head_ip: {head}")
    text = text.replace("[FILL-IN]", f"[{', '.join(workers)}]").replace("ssh_user: FILL-IN", "ssh_user: root")
    file.write_text(text)
    (hosts.laptop.home / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    (project / "my_networks.py").write_text(NETWORK)
    yield Laptop(hosts)


def test_a_study_from_the_laptop_outlives_every_machine(laptop: Laptop) -> None:
    hosts, (head, one, other) = laptop.hosts, laptop.hosts.nodes
    laptop.follow("setup-cluster")
    up = laptop.lines[0]
    laptop.follow("ray up", 600)
    wait_for(lambda: nodes(hosts, head) == 3, 240, "three nodes")

    began = laptop.follow("tombola run")
    assert "first runs on the head of clusters/local.yaml" in began
    assert "tombola logs first --follow --cluster clusters/local.yaml" in began

    wait_for(lambda: laptop.complete() >= 2, 200, "two trials")
    kill_raylet(one)
    other.stop()  # as by a power cut
    wait_for(lambda: nodes(hosts, head) < 3, 120, "Ray to miss workers")
    other.start()

    assert "driver: process" in laptop.follow("status")
    assert "Ray is up" in laptop.follow("logs")
    report = laptop.follow("report").strip()
    assert "<html" in (hosts.laptop.home / "project" / report).read_text()
    assert "nothing is lost" in laptop.follow("stop")
    assert laptop.status()["driver"] is None

    head.stop()
    head.start()
    hosts.wait_for_ssh()
    laptop.types(up, 600)
    before = laptop.complete()
    laptop.follow("resume")
    wait_for(lambda: laptop.complete() > before, 200, "a trial after the head's loss")
    laptop.types(".venv/bin/tombola stop first --cluster clusters/local.yaml")
    target = laptop.complete() + 4
    laptop.types(f".venv/bin/tombola resume first --trials {target} --cluster clusters/local.yaml")
    wait_for(lambda: laptop.status()["driver"] is None, 300, "the study to end")
    told = laptop.status()
    assert (told["complete"], told["failed"], told["running"]) == (target, 0, 0)
    laptop.follow("export")
    loads = "import pruners, my_networks; pruners.load('smaller').apply(my_networks.narrow(24))"
    laptop.types(f'PYTHONPATH=. .venv/bin/python -c "{loads}"')

    wait_for(lambda: nodes(hosts, head) == 3, 240, "three nodes")
    hosts.on(other, "umount ~/studies")
    laptop.types(f".venv/bin/tombola resume first --trials {target + 2} --cluster clusters/local.yaml")
    wait_for(lambda: laptop.status()["driver"] is None, 120, "the driver to see that a node is blind")
    said = laptop.types(".venv/bin/tombola logs first --cluster clusters/local.yaml")
    assert f"node {other.name} ({other.address}) does not see {hosts.home}/studies/first." in said
    assert laptop.complete() == target

    laptop.follow("ray down")
    assert not laptop.lines
    assert "raylet" not in [process.name() for process in head.processes()]


def nodes(hosts: Hosts, head: Host) -> int:
    """How many nodes Ray's own status counts, from the head."""
    said = hosts.on(head, f"{RAY} status", check=False).stdout
    return sum(int(count) for count in re.findall(r"^ (\d+) local\.cluster\.node", said, re.MULTILINE))


def kill_raylet(host: Host) -> None:
    """Kill -9 for a host's raylet, and for nothing else of it."""
    next(process for process in host.processes() if process.name() == "raylet").kill()


def wait_for(condition, seconds: float, what: str) -> None:
    """Wait until the condition holds; fails with what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"no {what} within {seconds:.0f} s")
        time.sleep(3)
