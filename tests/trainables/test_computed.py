"""What is computed of a network once, for all trials and workers that share a store."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import trainables
from pruners.calibration import calibration as calibrations
from tests.trainables import processes
from tests.trainables.configs import TRAINING, comparable, same_bits, trial, weights
from trainables.config import CompressionConfig
from trainables.errors import StoreWarning
from trainables.execution import run
from trainables.execution.compression.stored_calibration import MEASURING, StoredCalibration
from trainables.store.computed import Computed, computed_for
from trainables.store.removal import remove

LAYERS = [str(number) for number in range(7)]


def started(root: Path, name: str, killed_in: int | None = None) -> processes.BaseProcess:
    arguments = (root / "store", root / "log", root / name, killed_in)
    return processes.start(processes.diverge_layer_by_layer, *arguments)


def answer(root: Path, name: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads((root / name).read_text())
    return found


def test_workers_share_the_work_and_nothing_is_computed_twice(tmp_path: Path) -> None:
    workers = [started(tmp_path, name) for name in "ab"]
    for worker in workers:
        worker.join(60)
    assert Counter((tmp_path / "log").read_text().split()) == Counter(LAYERS)
    assert answer(tmp_path, "a") == answer(tmp_path, "b")
    assert answer(tmp_path, "a").keys() == {*LAYERS, "moments"}


def test_killed_workers_leave_their_part_to_others_and_the_answer_is_the_same(tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    started(alone, "whole").join(60)
    mortals = [started(tmp_path, "dead", killed_in=2) for _ in range(2)]
    for worker in mortals:
        worker.join(60)
        assert worker.exitcode == -9
    started(tmp_path, "last").join(60)
    assert answer(tmp_path, "last") == answer(alone, "whole")
    times = Counter((tmp_path / "log").read_text().split())
    assert set(times) == set(LAYERS) and sum(times.values()) == len(LAYERS) + 2, (
        "each death costs its own part"
    )


def test_a_damaged_part_is_computed_again(tmp_path: Path) -> None:
    entry = Computed(tmp_path, {"computed": "test"}, "trial")
    with entry.held():
        entry.keep_tensors("conv/1", {"second": torch.arange(6.0).view(2, 3).T})
        entry.keep_data("conv/1", {"value": 0.1 + 0.2})
    found = entry.tensors("conv/1")
    assert found is not None and torch.equal(found["second"], torch.arange(6.0).view(2, 3).T)
    assert entry.data("conv/1") == {"value": 0.1 + 0.2} and entry.data("conv/2") is None
    for path in entry.folder.glob("*-*.*"):
        if path.suffix in (".safetensors", ".json") and len(path.stem) > 64:
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.warns(StoreWarning, match="is damaged and is computed again"):
        assert entry.tensors("conv/1") is None
    with pytest.warns(StoreWarning, match="is damaged and is computed again"):
        assert entry.data("conv/1") is None
    assert not list(entry.folder.glob("*.safetensors"))


def test_it_is_removed_as_a_trajectory_is(tmp_path: Path) -> None:
    entry = Computed(tmp_path, {"computed": "test"}, "/study/trials/0")
    with entry.held():
        entry.keep_data("x", {"value": 1})
    assert computed_for(entry.folder) == {"/study/trials/0"}
    assert remove(tmp_path, lambda _: True) == [entry.folder] and entry.data("x") is None


def test_trials_share_the_moments_of_their_dense_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compression = CompressionConfig("alds", {"refit": "layer"}, recalibrate_bn=128)
    config = trial(tmp_path, training=replace(TRAINING, epochs=1), compression=compression)
    calls: list[int] = []
    original = calibrations.input_moments

    def counted(network: torch.nn.Module, layers: dict, batches: list) -> dict:
        calls.append(len(layers))
        return original(network, layers, batches)

    monkeypatch.setattr(calibrations, "input_moments", counted)
    first = trainables.run_trial(config)
    assert len(calls) == 1
    run._kept.clear()
    again = replace(config, key="1", directory=str(tmp_path / "trials" / "1"))
    second = trainables.run_trial(again)
    assert len(calls) == 1, "a worker that does not have them in memory reads them"
    assert comparable(first) == comparable(second) and same_bits(weights(config), weights(again))
    entries = [path.parent for path in (tmp_path / "store").rglob("*.safetensors") if "-" in path.stem]
    assert entries and computed_for(entries[0]) == {config.directory}


def test_one_pass_gives_both_moments_to_every_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counting(name: str) -> Callable[..., Any]:
        original = getattr(calibrations, name)

        def counted(*arguments: Any) -> Any:
            calls.append(name)
            return original(*arguments)

        return counted

    for name in ("input_moments", "gradient_moments", "both_moments"):
        monkeypatch.setattr(calibrations, name, counting(name))
    training = replace(TRAINING, epochs=1)
    for key, method in enumerate(("calibrated", "calibrated", "alds")):
        run._kept.clear()
        compression = CompressionConfig(method, {"refit": "layer"}, recalibrate_bn=128)
        one = trial(tmp_path, training=training, compression=compression)
        trainables.run_trial(replace(one, key=str(key), directory=str(tmp_path / "trials" / str(key))))
        assert calls == ["both_moments"]


def test_the_trials_folder_says_how_many_are_there_while_others_are_computed(tmp_path: Path) -> None:
    network, trial_folder = torch.nn.Linear(2, 2), tmp_path / "trial"
    calibration = StoredCalibration(network, torch.ones(1, 2), tmp_path / "store", {}, str(trial_folder))
    path, seen = trial_folder / MEASURING, []

    def compute() -> dict[str, int]:
        seen.append(json.loads(path.read_text()))
        return {"found": len(seen)}

    wanted = {"one": compute, "two": compute}
    assert calibration.computed(wanted) == {"one": {"found": 1}, "two": {"found": 2}}
    assert seen == [{"measured": 0, "of": 2}, {"measured": 1, "of": 2}] and not path.exists()

    def fail() -> dict[str, int]:
        raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        calibration.computed({"three": fail})
    assert not path.exists()
