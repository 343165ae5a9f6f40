"""A grid of lotteries trains each distinct trajectory once, whoever is killed on the way."""

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

import sweeps
from tests.plugins.cluster import Cluster
from tests.plugins.until import until
from tests.sweeps.cluster.conftest import SWEEP, StudyOnCluster
from tests.trainables.test_lottery import distinct_epochs, logged_steps, steps_per_epoch

pytestmark = pytest.mark.timeout(900)
GRID: dict[str, Any] = {
    "name": "tickets",
    "trainable": "lottery",
    "task": {"network": "lenet_300_100", "data": "digits"},
    "training": {"epochs": 2, "batch_size": 256, "lr": 0.05},
    "compression": {"method": "magnitude", "options": {"allocation": "layerwise"}},
    "lottery": {"levels": 4, "controls": ["reinit", "random"]},
    "parameters": {
        "lottery.rewind_to": {"values": ["0it", "1ep"]},
        "lottery.rate": {"values": [0.2, 0.4]},
        "lottery.mode": {"values": ["rewind", "learning_rate", "fine_tune"]},
    },
    "method": "grid",
    "replicates": 2,
    "run_cap": 12,
    "seed": 0,
}
WORKERS = 2


class Lotteries(StudyOnCluster):
    """The grid, its sweep file without what belongs to decompositions."""

    def __init__(self, folder: Path, cluster: Cluster):
        folder.mkdir()
        super().__init__(folder, cluster, **GRID)
        self.sweep.write_text(
            yaml.safe_dump({name: value for name, value in (SWEEP | GRID).items() if name != "budget"})
        )

    def ended(self) -> int:
        return len(list(self.out.glob("trials/*/result.json")))

    def levels(self) -> dict[str, Any]:
        """Every figure of every level, by what the trial was."""

        def figures(level: Any) -> dict[str, Any]:
            return {name: level[name] for name in ("density", "layers", "verdict", "replicates", "history")}

        return {
            json.dumps(t.params, sort_keys=True): [figures(level) for level in t.levels]
            for t in sweeps.load_record(self.out).complete
        }

    def networks(self) -> dict[tuple[str, str], bytes]:
        """The files of every ticket that was kept, by what its trial was."""
        named = {t.key: json.dumps(t.params, sort_keys=True) for t in sweeps.load_record(self.out).complete}
        found = self.out.glob("trials/*/network/*/*.safetensors")
        files = [f for f in found if not f.parent.name.startswith(".")]  # what a killed worker was writing
        return {(named[f.parents[2].name], f"{f.parent.name}/{f.name}"): f.read_bytes() for f in files}


def kill_a_worker(out: Path) -> None:
    """The process that trained last, by the store's training logs."""
    logs = sorted(out.glob("store/*/*/training_log.jsonl"), key=lambda path: path.stat().st_mtime)
    psutil.Process(json.loads(logs[-1].read_text().splitlines()[-1])["pid"]).kill()


def test_neither_epochs_nor_bits_depend_on_who_was_killed(tmp_path: Path, cluster: Cluster) -> None:
    with Lotteries(tmp_path / "whole", cluster) as whole, Lotteries(tmp_path / "broken", cluster) as broken:
        assert f"{distinct_epochs()} with nothing trained twice" in whole.finish("--in-process", "--dry-run")
        printed = whole.finish("--in-process")
        per_epoch = steps_per_epoch(batch_size=256)
        assert logged_steps(whole.out) == distinct_epochs() * per_epoch
        assert f"{distinct_epochs()}" in printed

        driver = broken.start()
        for count in (2, 4):
            until(lambda count=count: broken.ended() >= count)
            kill_a_worker(broken.out)
        until(lambda: broken.ended() >= 6)
        assert driver.poll() is None, "the sweep was over before its driver could be killed"
        broken.kill(driver)
        broken.finish()

        # the two workers that were killed, and the two that lost their driver,
        # each at most an epoch after its last snapshot
        assert (
            logged_steps(whole.out)
            <= logged_steps(broken.out)
            <= logged_steps(whole.out) + (2 + WORKERS) * per_epoch
        )
        assert broken.levels() == whole.levels() and len(whole.levels()) == 12
        assert broken.networks() == whole.networks() and len(whole.networks()) >= 2 * 12
