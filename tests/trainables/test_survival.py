"""Trials in real processes, killed with -9 at real moments, and several at once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import trainables
from tests.trainables import processes
from tests.trainables.configs import TASK, USERS, comparable, same_bits, trial, weights
from trainables.config import TrialConfig, trial_config
from trainables.execution.run import Run
from trainables.execution.trial_setting import TrialSetting
from trainables.recipes.dense import dense
from trainables.store.lease import lease

STEPS = 17  # of an epoch; a trial has three epochs of training and two of retraining


def in_a_process(config: TrialConfig, answer: Path, **environment: str) -> "processes.BaseProcess":
    return processes.start(
        processes.run_trial, trial_config.dump_python(config, mode="json"), environment, answer
    )


def training_log(root: Path) -> list[dict]:
    return [
        json.loads(line)
        for path in (root / "store").rglob("training_log.jsonl")
        for line in path.read_text().splitlines()
    ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> TrialConfig:
    """The same trial, finished at one go in this process."""
    config = mortal(tmp_path_factory.mktemp("uninterrupted"))
    trainables.run_trial(config)
    return config


def mortal(root: Path, **changes: object) -> TrialConfig:
    return trial(root, task=replace(TASK, loss=f"{USERS}:deadly_loss"), **changes)


def metrics(config: TrialConfig) -> dict:
    return json.loads((Path(config.directory) / "result.json").read_text())["metrics"]


@pytest.mark.parametrize("checkpoint_every", [1, 2])
def test_killed_again_and_again_a_trial_ends_with_the_same_bits(
    tmp_path: Path, uninterrupted: TrialConfig, checkpoint_every: int
) -> None:
    config = mortal(tmp_path, checkpoint_every=checkpoint_every)
    deaths = [5, 2 * STEPS + 3, 1, STEPS + 1, STEPS + 9]
    for death in deaths:
        worker = in_a_process(config, tmp_path / "answer", DIE_AT=str(death))
        worker.join(120)
        assert worker.exitcode == -9
    worker = in_a_process(config, tmp_path / "answer")
    worker.join(120)
    answer = json.loads((tmp_path / "answer").read_text())
    assert comparable(answer) == comparable(metrics(uninterrupted))
    assert same_bits(weights(config), weights(uninterrupted))
    # each death costs at most the epochs since the last snapshot
    assert 5 < answer["epochs_trained"] == len(training_log(tmp_path)) <= 5 + checkpoint_every * len(deaths)


def test_another_process_comes_to_the_same_bits(tmp_path: Path, uninterrupted: TrialConfig) -> None:
    config = mortal(tmp_path)
    in_a_process(config, tmp_path / "answer").join(120)
    assert comparable(metrics(config)) == comparable(metrics(uninterrupted))
    assert same_bits(weights(config), weights(uninterrupted))


def test_racing_for_one_dense_network_it_is_trained_once(tmp_path: Path) -> None:
    configs = [
        trial(tmp_path, "a", seeds=(0, 1)),
        trial(tmp_path, "b", seeds=(1, 0)),
        trial(tmp_path, "c", keep_ratio=0.4, seeds=(1,)),
    ]
    workers = [in_a_process(config, tmp_path / config.key) for config in configs]
    for worker in workers:
        worker.join(120)
    answers = [json.loads((tmp_path / config.key).read_text()) for config in configs]
    # a seed: three epochs of dense training and two of retraining, for a and b together; two more for c
    assert (
        sum(answer["epochs_trained"] for answer in answers) == len(training_log(tmp_path)) == 2 * (3 + 2) + 2
    )
    assert comparable(answers[0]) == comparable(answers[1])


@pytest.mark.parametrize("checkpoint_every", [1, 2])
def test_a_trial_that_is_not_stepped_keeps_nobody_waiting(
    tmp_path: Path, uninterrupted: TrialConfig, checkpoint_every: int
) -> None:
    config = mortal(tmp_path, checkpoint_every=checkpoint_every)
    idle, other = trainables.Trial(config), replace(config, key="1", directory=str(tmp_path / "trials" / "1"))
    idle.step()
    worker = in_a_process(other, tmp_path / "answer")
    worker.join(60)
    worker.kill()
    assert (
        json.loads((tmp_path / "answer").read_text())["epochs_trained"] == checkpoint_every
    )  # an epoch only in idle's memory is its own
    assert idle.step()["epochs_trained"] == 4
    assert comparable(metrics(config)) == comparable(metrics(other)) == comparable(metrics(uninterrupted))
    assert same_bits(weights(config), weights(uninterrupted))


def test_what_only_memory_holds_is_gone_on_with(tmp_path: Path) -> None:
    patient = trainables.Trial(trial(tmp_path, checkpoint_every=5, retrain=4))
    for _ in range(2):
        patient.step()
    (trajectory,) = [
        path.parent
        for path in (tmp_path / "store").rglob("training_log.jsonl")
        if not list(path.parent.glob("epoch-*"))
    ]
    with lease(trajectory):  # somebody looked in and trained nothing
        pass
    patient.step()
    assert patient.step()["epochs_trained"] == len(training_log(tmp_path)) == 3 + 4


def test_a_waiter_takes_over_from_a_killed_trainer(tmp_path: Path, uninterrupted: TrialConfig) -> None:
    config = mortal(tmp_path)
    waiting = replace(config, key="1", directory=str(tmp_path / "trials" / "1"))
    doomed = in_a_process(config, tmp_path / "never", DIE_AT=str(2 * STEPS + 3))
    heir = in_a_process(waiting, tmp_path / "answer")
    doomed.join(120)
    heir.join(120)
    answer = json.loads((tmp_path / "answer").read_text())
    assert comparable(answer) == comparable(metrics(uninterrupted))


def test_a_damaged_dense_network_is_reported_and_built_again(
    tmp_path: Path, uninterrupted: TrialConfig
) -> None:
    first, second = mortal(tmp_path), mortal(tmp_path, keep_ratio=0.4)
    second = replace(second, directory=str(tmp_path / "trials" / "1"))
    in_a_process(first, tmp_path / "answer").join(120)
    (weights_file,) = (path for path in (tmp_path / "store").rglob("epoch-00003/model.safetensors"))
    content = bytearray(weights_file.read_bytes())
    content[-1] ^= 1
    weights_file.write_bytes(content)
    with pytest.warns(
        trainables.StoreWarning,
        match=r"epoch-00003 is damaged \(model.safetensors does not match its checksum\)",
    ):
        last = trainables.run_trial(second)
    assert last["epochs_trained"] == 5
    assert last["dense/val/accuracy"] == metrics(uninterrupted)["dense/val/accuracy"]


def test_a_trial_begins_with_the_seed_whose_dense_network_nobody_is_training(tmp_path: Path) -> None:
    config = trial(tmp_path, "0", seeds=(0, 1))
    setting = TrialSetting.of(config)
    first, second = (
        Run(setting, dense(config, setting.steps_per_epoch), seed).trajectory(1).folder for seed in (0, 1)
    )
    first.mkdir(parents=True)
    holder = processes.start(processes.hold, first, tmp_path / "log", 3600.0)
    processes.wait_for(tmp_path / "log")
    worker = in_a_process(config, tmp_path / "answer")
    processes.wait_for(second / "training_log.jsonl")
    assert not (first / "training_log.jsonl").exists()
    holder.kill()
    worker.join(120)
    assert "val/accuracy" in json.loads((tmp_path / "answer").read_text())
