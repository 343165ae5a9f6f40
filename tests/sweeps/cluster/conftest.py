"""Drives real studies with the real command on the session's two-node cluster."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.plugins.cluster import Cluster

SWEEP = {
    "name": "survivor",
    "task": {"network": "resnet20", "network_options": {"width": 4}, "data": "digits"},
    "training": {"epochs": 3, "batch_size": 128, "lr": 0.05},
    "compression": {"method": "alds", "retrain_epochs": 3, "recalibrate_bn": 128},
    "budget": {"keep_ratio": 0.4},
    "parameters": {
        "training.weight_decay": {"min": 0.0, "max": 0.001},
        "compression.options.metric": {"values": ["max", "sum"]},
    },
    "method": "random",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "resources": {"concurrent": 2},
    "run_cap": 16,
    "seed": 7,
}
"""Each weight decay has a dense network of its own, so that a kill also finds dense training under way."""


class StudyOnCluster:
    """One study in a folder of its own, run by ``tombola`` in processes that a test may kill."""

    def __init__(self, folder: Path, cluster: Cluster, **changes: Any):
        self.out = folder / "study"
        self.sweep = folder / "sweep.yaml"
        self.sweep.write_text(yaml.safe_dump(SWEEP | changes))
        self._address = cluster.address
        self._folder = folder
        self._drivers: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for driver in self._drivers:
            if driver.poll() is None:
                self.kill(driver)
            for pipe in (driver.stdout, driver.stderr):
                if pipe:
                    pipe.close()

    def start(self, *options: str) -> subprocess.Popen[str]:
        """The driver, in a session of its own and away from the project's folder."""
        command = [sys.executable, "-m", "tombola", "run", str(self.sweep), "--out", str(self.out), *options]
        if "--in-process" not in options:
            command += ["--address", self._address]
        driver = subprocess.Popen(
            command,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ,
        )
        self._drivers.append(driver)
        return driver

    def finish(self, *options: str) -> str:
        """Run the driver to its end; what it printed."""
        driver = self.start(*options)
        printed, errors = driver.communicate(timeout=400)
        assert driver.returncode == 0, f"exit code {driver.returncode}\n{printed}\n{errors}"
        return printed

    @staticmethod
    def kill(driver: subprocess.Popen[str]) -> None:
        """Kill -9 for the driver and all that it started on this machine."""
        os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate()

    def status(self) -> dict[str, Any]:
        """What ``tombola status --json`` says."""
        command = [sys.executable, "-m", "tombola", "status", str(self.out), "--json"]
        told: dict[str, Any] = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout
        )
        return told

    def results(self) -> list[tuple[Any, ...]]:
        """Parameters and figures of every complete trial, in one order whoever ended first."""
        import sweeps

        record = sweeps.load_record(self.out)
        figures = ("val/accuracy", "val/loss", "dense/val/accuracy", "compress/error")
        return sorted(
            (*sorted(t.params.items()), *(t.metrics[name] for name in figures)) for t in record.complete
        )

    def repeated_epochs(self) -> int:
        """How many epochs were trained more than once, by the store's own training logs."""
        repeated = 0
        for log in self.out.glob("store/*/*/training_log.jsonl"):
            epochs = Counter(json.loads(line)["epoch"] for line in log.read_text().splitlines())
            repeated += sum(count - 1 for count in epochs.values())
        return repeated

    def trained_epochs(self) -> int:
        """All epochs trained, repeated ones counted each time."""
        return sum(len(log.read_text().splitlines()) for log in self.out.glob("store/*/*/training_log.jsonl"))


def ended(out: Path) -> int:
    """Count the trials whose workers have written their results."""
    return len(list(out.glob("trials/*/result.json")))


@pytest.fixture
def study_on_cluster(tmp_path: Path, cluster: Cluster) -> Iterator[StudyOnCluster]:
    """The 16-trial study that tests interrupt."""
    with StudyOnCluster(tmp_path, cluster) as study:
        yield study
