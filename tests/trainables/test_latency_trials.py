"""Trials within a budget in time: chosen by a table in the store, told against the dense network."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import pruners
import trainables
from pruners.latency.tables import Measured
from tests.pruners.latency_files import decomposed_part, dense_part
from tests.trainables.configs import TASK, same_bits, trial, weights
from trainables.config import BudgetConfig, CompressionConfig, TrialConfig
from trainables.execution.compression.stored_tables import FORMAT, StoredTables
from trainables.execution.network import Network
from trainables.execution.run import Run
from trainables.execution.trial_setting import TrialSetting
from trainables.recipes import RECIPES
from trainables.results.dense_reference import measured
from trainables.store.computed import Computed
from trainables.training.device import reproducible

BUDGET = BudgetConfig(latency_ratio=0.5)
COMPRESSION = CompressionConfig(
    "alds",
    options={"candidate_subspaces": [1, 2], "refit": "none"},
    recalibrate_bn=64,
    retrain_epochs=1,
    latency_batch=3,
)


def in_time(root: Path, key: str = "0", **changes: Any) -> TrialConfig:
    return trial(root, key, **{"compression": COMPRESSION, "budget": BUDGET} | changes)


def put_in_store(config: TrialConfig, parts: dict[str, Measured]) -> None:
    """Put a table into the store, as if it had been measured on this device."""
    with reproducible(config.threads):
        of = TrialSetting.of(config).timed_on
    spec = {"computed": "latency", "computed_format": FORMAT, **of}
    entry = Computed(Path(config.store), spec, config.directory)
    with entry.held():
        for part, times in parts.items():
            entry.keep_data(part, times)


def known_parts(fast: str) -> dict[str, Measured]:
    """Times by which only the layer ``fast`` gains, in one slice."""
    network = trainables.build_network(TASK)
    shapes = pruners.compressible(network)
    parts = dense_part(dict.fromkeys(shapes, 100_000), rest=0)
    for name, shape in shapes.items():
        for number in (n for n in (1, 2) if n in shape.candidate_subspaces):
            each = 10 if name == fast and number == 1 else 100_000
            parts |= decomposed_part(network, name, number, lambda r, each=each: each * r)
    return parts


def test_a_trial_chooses_by_the_stores_table(tmp_path: Path) -> None:
    shapes = pruners.compressible(trainables.build_network(TASK))
    few = BudgetConfig(latency_ratio=(len(shapes) - 0.5) / len(shapes))
    for fast in [name for name, shape in shapes.items() if shape.largest_saving_rank(1) > 1][:2]:
        config = in_time(tmp_path / fast, budget=few)
        put_in_store(config, known_parts(fast))
        metrics = trainables.run_trial(config)
        ranks = {name for name in metrics if name.endswith("/rank")}
        assert ranks == {f"compress/layer/{fast}/rank"}
        assert metrics[f"compress/layer/{fast}/num_subspaces"] == 1
        assert metrics["compress/latency_ms"] > 0 and metrics["compress/latency_kept"] > 0
        # a retry, and another trial on this store, choose the same and train nothing
        again = trainables.run_trial(in_time(tmp_path / fast, "1", budget=few))
        assert again["epochs_trained"] == 0
        assert same_bits(weights(config), weights(in_time(tmp_path / fast, "1", budget=few)))


def test_a_table_is_measured_once_and_is_part_of_the_address(tmp_path: Path) -> None:
    config = in_time(tmp_path, budget=BudgetConfig(latency_ratio=1.0))
    trainables.run_trial(config)
    entries = [
        path.parent
        for path in (tmp_path / "store").glob("*/*/spec.json")
        if '"computed": "latency"' in path.read_text()
    ]
    assert len(entries) == 1
    files = sorted(path.name for path in entries[0].iterdir())
    setting = TrialSetting.of(config)

    def never() -> Measured:
        raise AssertionError("it is measured again")

    with reproducible(config.threads):
        parts = len(pruners.compressible(trainables.build_network(TASK)))
        tables = StoredTables(setting.store, setting.trainer)
        assert tables.once(setting.timed_on, f"{parts} layers", never)["network"] > 0
        trainables.run_trial(in_time(tmp_path, "1", budget=BudgetConfig(latency_ratio=1.0)))
    assert sorted(path.name for path in entries[0].iterdir()) == files

    def address(config: TrialConfig) -> str:
        with reproducible(config.threads):
            setting = TrialSetting.of(config)
            recipe = RECIPES["compress"].stages(config, setting.steps_per_epoch)
            return Run(setting, recipe, 0).trajectory(len(recipe)).key

    timed = in_time(tmp_path, budget=BUDGET)
    of_three, of_one = address(timed), address(replace(timed, threads=3))
    assert of_three != of_one
    other = replace(timed, compression=replace(COMPRESSION, latency_batch=4))
    assert address(other) != of_three
    # what is within another kind of budget lies where it lay before there were tables
    counted = trial(tmp_path, compression=COMPRESSION)
    assert address(counted) == address(replace(counted, compression=other.compression))


def test_an_unreachable_time_is_told_with_the_least(tmp_path: Path) -> None:
    config = in_time(tmp_path, budget=BudgetConfig(latency_ratio=0.01))
    put_in_store(config, known_parts("none"))
    failed = trainables.run_trial(config)["failed"]
    assert re.search(
        r"A budget of \S+ ms cannot be met: the least possible is (\S+) of \1 \(latency_ratio=1\)", failed
    )


def test_channels_go_within_the_time(tmp_path: Path) -> None:
    compression = CompressionConfig("ft", recalibrate_bn=64, retrain_epochs=1)
    metrics = trainables.run_trial(
        in_time(tmp_path, budget=BudgetConfig(latency_ratio=1.0), compression=compression)
    )
    assert metrics["compress/flops_kept"] == 1.0
    assert torch.isfinite(torch.tensor(metrics["compress/latency_kept"]))


def test_a_dense_network_in_memory_is_timed_with_each_batch(tmp_path: Path) -> None:
    """Of one process's studies each has a batch of its own."""
    dense = Network(trainables.build_network(TASK))
    one, many = (
        measured(dense, TrialSetting.of(in_time(tmp_path, compression=replace(COMPRESSION, latency_batch=b))))
        for b in (1, 512)
    )
    assert one["latency_ms"] < many["latency_ms"] / 4
    assert one["val/accuracy"] == many["val/accuracy"]
