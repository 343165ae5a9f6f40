import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import pruners
import trainables
from tests.trainables import users
from tests.trainables.configs import TASK, TRAINING, USERS, comparable, same_bits, trial, weights
from trainables.config import (
    BudgetConfig,
    CompressionConfig,
    LayerPin,
    ScheduleConfig,
    TaskConfig,
    TrialConfig,
)
from trainables.execution import run
from trainables.execution.network import Network, export
from trainables.results.result import write_failed


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    """Every test starts without dense networks in memory."""
    run._kept.clear()


def steps(config: TrialConfig) -> list[dict]:
    one, metrics = trainables.Trial(config), []
    while not metrics or not metrics[-1]["final"]:
        metrics.append(one.step())
    return metrics


def result(config: TrialConfig) -> dict:
    return json.loads((Path(config.directory) / "result.json").read_text())


def test_a_trial_from_dense_to_result(tmp_path: Path) -> None:
    config = trial(tmp_path)
    first, last = steps(config)
    per_epoch = 17  # ceil(1079 / 64)
    assert [(m["epoch"], m["step"], m["final"], m["epochs_trained"]) for m in (first, last)] == [
        (1, 4 * per_epoch, False, 4),
        (2, 5 * per_epoch, True, 5),
    ]
    assert last["val/accuracy"] > 0.85 and last["dense/val/accuracy"] > 0.85
    dense = trainables.build_network(TASK)
    total = sum(parameter.numel() for parameter in dense.parameters())
    compressible = sum(shape.params for shape in pruners.compressible(dense).values())
    assert total - compressible < last["compress/params"] <= total - compressible + compressible // 2
    assert last["compress/params_kept"] == last["compress/params"] / total
    assert (
        0 < last["compress/flops_kept"] < 1 and last["compress/latency_ms"] > 0 and last["compress/error"] > 0
    )
    ranks = {name: value for name, value in last.items() if name.endswith("/rank")}
    assert set(ranks) <= {"compress/layer/0/rank", "compress/layer/5/rank"} and all(
        rank >= 1 for rank in ranks.values()
    )

    written = result(config)
    assert written["metrics"] == last and written["failed"] is None and written["key"] == "0"
    assert [(entry["epoch"], entry["val/accuracy"]) for entry in written["history"]] == [
        (m["epoch"], m["val/accuracy"]) for m in (first, last)
    ]
    assert (
        written["dense"]["val/accuracy"] == last["dense/val/accuracy"] and written["dense"]["params"] == total
    )
    assert all(
        layer.keys() == {"rank", "num_subspaces", "error", "params", "dense_params"}
        for layer in written["layers"].values()
    )
    assert torch.__version__.startswith(written["versions"]["torch"])


def test_the_result_is_a_network_that_plain_torch_can_load(tmp_path: Path) -> None:
    config = trial(tmp_path)
    last = trainables.run_trial(config)
    artifact = pruners.load(trainables.network_folder(config, 0))
    network = artifact.apply(trainables.build_network(TASK)).eval()
    validation = trainables.load_data(TASK).validation
    with torch.no_grad():
        right = network(validation.inputs).argmax(1) == validation.labels
    assert right.double().mean().item() == last["val/accuracy"]


def test_without_retraining_one_step_is_all(tmp_path: Path) -> None:
    (only,) = steps(trial(tmp_path, retrain=0))
    assert (only["epoch"], only["epochs_trained"], only["step"]) == (0, 3, 51)
    assert only["val/accuracy"] > 0.5


def test_a_finished_trial_answers_without_work(tmp_path: Path) -> None:
    config = trial(tmp_path)
    last = trainables.run_trial(config)
    (tmp_path / "store").rename(tmp_path / "away")
    assert steps(config) == [last]
    assert not (tmp_path / "store").exists()


def test_replicates_are_averaged_and_each_is_what_it_would_be_alone(tmp_path: Path) -> None:
    together = trainables.run_trial(trial(tmp_path, "both", seeds=(5, 3)))
    alone = [trainables.run_trial(trial(tmp_path / "other", f"{seed}", seeds=(seed,))) for seed in (3, 5)]
    accuracies = [metrics["val/accuracy"] for metrics in alone]
    assert together["val/accuracy"] == pytest.approx(statistics.mean(accuracies))
    assert together["val/accuracy_std"] == pytest.approx(statistics.stdev(accuracies))
    assert together["epochs_trained"] == 10 and [metrics["val/accuracy_std"] for metrics in alone] == [0, 0]
    written = result(trial(tmp_path, "both"))["replicates"]
    assert [(one["seed"], one["metrics"]["val/accuracy"]) for one in written] == list(
        zip((3, 5), accuracies, strict=True)
    )
    for seed in (3, 5):
        assert same_bits(
            weights(trial(tmp_path, "both"), seed), weights(trial(tmp_path / "other", f"{seed}"), seed)
        )


def test_the_dense_network_is_trained_once_and_equal_trials_are_too(tmp_path: Path) -> None:
    one, other, equal = trial(tmp_path, "a"), trial(tmp_path, "b", keep_ratio=0.3), trial(tmp_path, "c")
    metrics = [trainables.run_trial(config) for config in (one, other, equal)]
    assert [m["epochs_trained"] for m in metrics] == [5, 2, 0]
    assert comparable(metrics[0]) == comparable(metrics[2])
    assert metrics[1]["compress/params"] < metrics[0]["compress/params"]
    run._kept.clear()
    assert trainables.run_trial(trial(tmp_path, "d", keep_ratio=0.4))["epochs_trained"] == 2


def test_the_result_says_what_took_the_time_and_what_it_would_have_trained_alone(tmp_path: Path) -> None:
    one, other, equal = trial(tmp_path, "a"), trial(tmp_path, "b", keep_ratio=0.3), trial(tmp_path, "c")
    for config in (one, other, equal):
        began = time.perf_counter()
        trainables.run_trial(config)
        took, told = time.perf_counter() - began, result(config)["stage_seconds"]
        assert 0 < sum(told.values()) <= took and all(seconds > 0 for seconds in told.values())
    works = [result(config)["stage_seconds"].keys() for config in (one, other, equal)]
    assert works[0] == {"training", "compressing", "retraining", "measuring"}
    assert works[1] == works[0] - {"training"} and "retraining" not in works[2]
    assert [result(config)["epochs_alone"] for config in (one, other, equal)] == [5, 5, 5]


def test_what_determines_the_training_determines_what_is_shared(tmp_path: Path) -> None:
    trainables.run_trial(trial(tmp_path))
    changes = [
        {"training": replace(TRAINING, lr=0.04)},
        {"seeds": (1,)},
        {"task": replace(TASK, network_options={"width": 8, "dropout": 0.1})},
        {"task": replace(TASK, loss=f"{USERS}:smooth_l1")},
    ]
    trained = [
        trainables.run_trial(trial(tmp_path, str(i), **change))["epochs_trained"]
        for i, change in enumerate(changes, 1)
    ]
    assert trained == [5] * 4


def test_a_checkpoint_replaces_the_dense_training(tmp_path: Path) -> None:
    network = trainables.build_network(TASK, seed=8)
    save_file(network.state_dict(), tmp_path / "mine.safetensors")
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    metrics = [
        trainables.run_trial(
            trial(
                tmp_path / kind, task=replace(TASK, checkpoint=str(tmp_path / f"mine.{kind}")), seeds=(0, 1)
            )
        )
        for kind in ("safetensors", "pt")
    ]
    assert comparable(metrics[0]) == comparable(metrics[1])
    assert metrics[0]["epochs_trained"] == 4 and metrics[0]["step"] == 34
    assert metrics[0]["dense/val/accuracy"] < 0.4 < metrics[0]["val/accuracy"]


def test_bad_checkpoints_are_explained(tmp_path: Path) -> None:
    state = trainables.build_network(TASK).state_dict()
    torch.save({name: tensor for name, tensor in state.items() if name != "5.bias"}, tmp_path / "short.pt")
    torch.save({**state, "6.bias": torch.zeros(1)}, tmp_path / "long.pt")
    torch.save({**state, "5.bias": torch.zeros(1)}, tmp_path / "wide.pt")
    torch.save({"epoch": 3, "state": state}, tmp_path / "nested.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    network = trainables.build_network(TASK)
    mask = pruners.compress(network, "magnitude", keep_ratio=0.5)
    mask.capture(mask.apply(network)).save(tmp_path / "small")
    expected = {
        "absent.pt": "there is no checkpoint",
        "short.pt": "lacks '5.bias', which the network has",
        "long.pt": "has '6.bias', which the network lacks",
        "wide.pt": r"'5.bias' has shape \(1,\), the network's \(10,\)",
        "nested.pt": "is no state dict; save the network's state_dict",
        "module.pt": "holds more than tensors; save the network's state_dict",
        "torn.safetensors": "cannot be read",
        "small/model.safetensors": "a compressed network's: name a file of the state_dict",
    }
    for name, message in expected.items():
        with pytest.raises(trainables.TaskError, match=message):
            trainables.build_network(replace(TASK, checkpoint=str(tmp_path / name)))


def test_layers_tolerances_and_budgets_reach_the_pruner(tmp_path: Path) -> None:
    def ended(name: str, compression: CompressionConfig, **budget: float) -> tuple[dict, dict]:
        task, limit = TaskConfig("lenet_300_100", "digits"), BudgetConfig(**(budget or {"keep_ratio": 0.3}))
        config = trial(
            tmp_path,
            name,
            task=task,
            compression=compression,
            budget=limit,
            training=replace(TRAINING, epochs=1),
        )
        return trainables.run_trial(config), result(config)["layers"]

    pins = {"1": LayerPin(2, 4), "3": LayerPin(3, 2), "5": LayerPin(4, 1)}
    assert {
        name: LayerPin(layer["rank"], layer["num_subspaces"])
        for name, layer in ended("pinned", CompressionConfig("alds", layers=pins))[1].items()
    } == pins
    plain = ended("plain", CompressionConfig("alds"))[1]
    bent = ended("bent", CompressionConfig("alds", tolerance={"3": 0.25}))[1]
    assert bent["3"]["error"] < plain["3"]["error"] and bent["1"]["error"] > plain["1"]["error"]
    few = ended("parameters", CompressionConfig("alds"), parameters=9000)[1]
    assert 8000 < sum(layer["params"] for layer in few.values()) <= 9000
    assert ended("flops", CompressionConfig("alds"), flops_ratio=0.25)[0]["compress/flops_kept"] <= 0.25
    assert (
        ended("option", CompressionConfig("alds", {"candidate_subspaces": [4]}))[1]["3"]["num_subspaces"] == 4
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"training": replace(TRAINING, lr=1e30)}, r"^the loss became (nan|inf) at step \d+ \(epoch 0\)"),
        ({"task": replace(TASK, loss=f"{USERS}:raising_loss")}, "^LookupError: the loss is elsewhere$"),
        ({"task": replace(TASK, network="resnt20")}, "did you mean resnet20"),
        ({"compression": CompressionConfig("adls")}, "alds"),
        ({"budget": BudgetConfig(keep_ratio=1e-4)}, "least possible"),
        ({"device": "cuda:17"}, "device 'cuda:17' is not there"),
        ({"device": "gpu"}, "there is no kind of device called 'gpu'"),
    ],
)
def test_a_failure_is_returned_and_recorded(tmp_path: Path, changes: dict, reason: str) -> None:
    config = trial(tmp_path, **changes)
    metrics = trainables.run_trial(config)
    assert metrics.keys() == {"failed", "final"} and metrics["final"]
    with pytest.raises(ValueError, match=reason):
        raise ValueError(metrics["failed"])
    assert "\n" not in metrics["failed"]
    assert result(config)["failed"] == metrics["failed"]
    assert "Traceback" in (Path(config.directory) / "error.txt").read_text()
    assert trainables.run_trial(config) == metrics


def test_many_may_export_the_same_network_at_once(tmp_path: Path) -> None:
    network = Network(trainables.build_network(TASK))
    with ThreadPoolExecutor(8) as pool:
        for turn in range(20):
            list(pool.map(export, [network] * 8, [tmp_path / "network" / f"{turn}"] * 8))
    assert len(list((tmp_path / "network").iterdir())) == 20
    assert same_bits(load_file(tmp_path / "network" / "7" / "model.safetensors"), network.module.state_dict())


def test_a_network_exported_already_is_kept(tmp_path: Path) -> None:
    config = trial(tmp_path)
    trainables.run_trial(config)
    folder = trainables.network_folder(config, 0)
    inode = folder.stat().st_ino
    (Path(config.directory) / "result.json").unlink()  # as if the worker had died between the two
    assert "failed" not in trainables.run_trial(config)
    assert folder.stat().st_ino == inode and [path.name for path in folder.parent.iterdir()] == ["seed-0"]


def test_a_late_failure_does_not_replace_a_result(tmp_path: Path) -> None:
    config = trial(tmp_path, retrain=1)
    last = trainables.run_trial(config)
    write_failed(config, "too late")
    assert result(config)["failed"] is None and trainables.run_trial(config) == last


def test_a_worker_that_was_taken_over_crashes_and_the_trial_goes_on(tmp_path: Path) -> None:
    config = trial(tmp_path, task=replace(TASK, loss=f"{USERS}:overtaken_loss"), retrain=3)
    slow = trainables.Trial(config)
    slow.step()
    users.takes_over.append(
        max(
            (path.parent for path in (tmp_path / "store").rglob("epoch-*")),
            key=lambda folder: folder.stat().st_ctime,
        )
    )
    with pytest.raises(trainables.LeaseLost):
        slow.step()
    assert not Path(config.directory).exists()
    # the epoch in which it happened is trained again
    assert (slow.step()["epoch"], slow.step()["epochs_trained"]) == (2, 7)


def test_a_loss_that_is_no_number_is_named_without_retraining_too(tmp_path: Path) -> None:
    network = trainables.build_network(TASK)
    save_file(network.state_dict(), tmp_path / "mine.safetensors")
    task = replace(TASK, checkpoint=str(tmp_path / "mine.safetensors"), loss=f"{USERS}:nan_validation_loss")
    config = trial(tmp_path, task=task, retrain=0)
    assert (
        trainables.run_trial(config)["failed"]
        == "val/loss is nan at the end of the trial (seed 0); no result can be made of it."
    )
    assert not trainables.network_folder(config, 0).exists()


def test_an_interruption_is_no_failure(tmp_path: Path) -> None:
    config = trial(tmp_path, task=replace(TASK, loss=f"{USERS}:interrupted_loss"))
    with pytest.raises(KeyboardInterrupt):
        trainables.run_trial(config)
    assert not Path(config.directory).exists()


def test_a_full_disk_can_be_resumed(tmp_path: Path) -> None:
    whole = trainables.run_trial(trial(tmp_path / "whole"))
    config = trial(tmp_path)
    stopped = trainables.Trial(config)
    stopped.step()
    (log,) = [
        path
        for path in (tmp_path / "store").rglob("training_log.jsonl")
        if len(path.read_text().splitlines()) == 1
    ]
    log.rename(tmp_path / "log")
    log.symlink_to("/dev/full")  # the kernel's own full disk
    assert "is full; free some space and run the same command again" in stopped.step()["failed"]
    assert not (Path(config.directory) / "result.json").exists()
    log.unlink()
    (tmp_path / "log").rename(log)
    assert comparable(trainables.run_trial(config)) == comparable(whole)
    assert same_bits(weights(config), weights(trial(tmp_path / "whole")))


def test_test_is_read_from_the_finished_networks(tmp_path: Path) -> None:
    config = trial(tmp_path, seeds=(1, 0))
    with pytest.raises(trainables.TaskError, match="trial 0 has no finished network"):
        trainables.read_test(config, "trial")
    trainables.run_trial(config)
    for which in ("dense", "trial"):
        figures = trainables.read_test(config, which)
        each = [one["test/accuracy"] for one in figures["replicates"]]
        assert [one["seed"] for one in figures["replicates"]] == [0, 1]
        assert figures["test/accuracy"] == pytest.approx(statistics.mean(each)) and min(each) > 0.8
        assert figures["test/accuracy_std"] == pytest.approx(statistics.stdev(each))


def test_a_network_and_data_of_the_users_own(tmp_path: Path) -> None:
    task = TaskConfig(f"{USERS}:blob_network", f"{USERS}:datasets")
    metrics = trainables.run_trial(
        trial(
            tmp_path,
            task=task,
            training=replace(TRAINING, augment=(), schedule=ScheduleConfig()),
            keep_ratio=0.9,
        )
    )
    assert metrics["val/accuracy"] > 0.5
