"""Results say with which torch, device and type they were trained; going on with another is told."""

import json
from pathlib import Path

import pytest
import torch

import trainables
from tests.trainables.configs import trial
from trainables.config import CompressionConfig, LotteryConfig, TaskConfig, TrainingConfig, TrialConfig
from trainables.execution import run


def trained_with(config: TrialConfig) -> list[str]:
    return json.loads((Path(config.directory) / "result.json").read_text())["trained_with"]


def half_trained(config: TrialConfig) -> None:
    """The dense network and the first of two epochs of retraining; then this process is another one."""
    begun = trainables.Trial(config)
    assert not begun.step()["final"]
    begun.close()
    run._kept.clear()


CPU = f"torch {torch.__version__}, cpu, float32"


def test_a_result_says_with_what_it_was_trained(tmp_path: Path) -> None:
    config = trial(tmp_path)
    trainables.run_trial(config)
    assert trained_with(config) == [CPU]
    tickets = LotteryConfig(levels=1, controls=("random",))
    task = TaskConfig("mlp", "digits", {"widths": [8]})
    training, method = TrainingConfig(1, 256), CompressionConfig("magnitude")
    lottery = trial(
        tmp_path,
        "l",
        task=task,
        training=training,
        compression=method,
        budget=None,
        trainable="lottery",
        lottery=tickets,
        keep_at=("0it",),
    )
    assert "failed" not in trainables.run_trial(lottery)
    assert trained_with(lottery) == [CPU]


def test_nothing_goes_on_with_another_torch_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = trial(tmp_path)
    half_trained(config)
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    with pytest.warns(
        trainables.StoreWarning,
        match=r"goes on after epoch 1 with torch 2\.99\.0, cpu, float32, and began with torch",
    ) as told:
        metrics = trainables.run_trial(config)
    assert len(told) == 1
    assert metrics["epochs_trained"] == 5
    assert trained_with(config) == sorted([CPU, "torch 2.99.0, cpu, float32"])


def test_a_finished_training_is_used_by_others_who_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainables.run_trial(trial(tmp_path))
    run._kept.clear()
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    other = trial(tmp_path, "other", keep_ratio=0.3)
    assert trainables.run_trial(other)["epochs_trained"] == 2
    assert trained_with(other) == sorted([CPU, "torch 2.99.0, cpu, float32"])
    again = trial(tmp_path, "again")
    assert trainables.run_trial(again)["epochs_trained"] == 0
    assert trained_with(again) == [CPU]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_one_half_on_the_cpu_and_one_on_the_gpu_is_told(tmp_path: Path) -> None:
    half_trained(trial(tmp_path, device="cpu"))
    config = trial(tmp_path, device="cuda")
    with pytest.warns(
        trainables.StoreWarning, match=r"with torch .*, cuda, float32, and began with torch .*, cpu, float32"
    ):
        trainables.run_trial(config)
    assert trained_with(config) == sorted([CPU, CPU.replace("cpu", "cuda")])
