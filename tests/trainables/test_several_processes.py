"""A training that several processes share: the numbers of one process, and what happens when one is lost."""

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import distributed
from torch.nn import functional

import pruners
import trainables
from tests.plugins.until import until
from tests.trainables import groups, processes
from tests.trainables.configs import TASK, TRAINING, USERS, comparable, same_bits, trial, weights
from tests.trainables.groups import ForkedGroup
from trainables.config import (
    CompressionConfig,
    DistillationConfig,
    DynamicSparseConfig,
    GradualConfig,
    LearningCompressionConfig,
    ScheduleConfig,
    TaskConfig,
    TrainingConfig,
    TrialConfig,
    trial_config,
)
from trainables.execution import epoch_work, run
from trainables.execution.epoch_work import Beside, Work
from trainables.execution.identity import stage_identity, training_identity
from trainables.execution.member import GroupMember
from trainables.execution.network import Network
from trainables.execution.run import Run
from trainables.execution.trial_setting import TrialSetting
from trainables.recipes.dense import dense
from trainables.stages import Adopt, Train
from trainables.store.disk import disk_full_explained
from trainables.task.data.splits import TensorSplit
from trainables.task.task import build_network
from trainables.training.optimizer import make
from trainables.training.step_plan import Part, Share, StepPlan

EXACT = TaskConfig(f"{USERS}:exact_network", "digits")
# 1,078 training images: the last batch of an epoch is short
MOMENTUM = TrainingConfig(
    3,
    100,
    "sgd",
    0.05,
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-3,
    schedule=ScheduleConfig("cosine", warmup=1),
    augment=("shift", "flip"),
)
ADAM = replace(MOMENTUM, optimizer="adamw", lr=0.003, clip_norm=0.5, label_smoothing=0.1)
MAGNITUDE = CompressionConfig("magnitude", retrain_epochs=1)
KINDS: dict[str, dict[str, Any]] = {
    "prune_at_init": {"compression": MAGNITUDE, "keep_ratio": 0.2},
    "compress": {
        "compression": CompressionConfig("alds", retrain_epochs=1, distillation=DistillationConfig()),
        "training": ADAM,
    },
    "gradual": {
        "compression": replace(MAGNITUDE, retrain_epochs=0),
        "gradual": GradualConfig("2ep", "3it", "5it"),
    },
    "dynamic_sparse": {
        "compression": CompressionConfig("random", {"min_layer_keep": 1}),
        "dynamic_sparse": DynamicSparseConfig("gradient", every="5it"),
        "training": ADAM,
    },
    "learning_compression": {
        "compression": CompressionConfig("l_rank", {"refit": "none", "exclude": ["idle"]}, retrain_epochs=1),
        "learning_compression": LearningCompressionConfig(steps=2, first_penalty=0.3),
    },
}


def exact(root: Path, kind: str, **changes: Any) -> TrialConfig:
    given = {"task": EXACT, "training": MOMENTUM, "trainable": kind, "keep_ratio": 0.4}
    return trial(root, **given | KINDS[kind] | {"dense_reference": False} | changes)


def run_shared(config: TrialConfig, **environment: str) -> dict[str, Any]:
    """Run a trial to its end with a group of as many processes as it wants."""
    run._kept.clear()
    group = ForkedGroup(config.processes, **environment)
    with closing(group), closing(trainables.Trial(config, group)) as one:
        while not (metrics := one.step())["final"]:
            pass
    return metrics


@pytest.mark.parametrize(("kind", "count"), [*((kind, 2) for kind in KINDS), ("prune_at_init", 3)])
def test_several_processes_train_what_one_does(tmp_path: Path, kind: str, count: int) -> None:
    alone = exact(tmp_path / "one", kind)
    told = trainables.run_trial(alone)
    shared = exact(tmp_path / "several", kind, processes=count)
    told_by_several = run_shared(shared)
    assert "failed" not in told and told["val/accuracy"] > 0.5
    one, several = weights(alone), weights(shared)
    assert one.keys() == several.keys()
    for name, values in one.items():
        torch.testing.assert_close(several[name], values, rtol=1e-10, atol=1e-10)
    for name in ("train/loss", "train/grad_norm", "val/loss", "epochs_trained"):
        assert told_by_several[name] == pytest.approx(told[name], rel=1e-6)
    artifact = pruners.load(trainables.network_folder(shared, 0))
    if isinstance(artifact, pruners.Mask):
        assert all(not several[name][~kept].any() for name, kept in artifact.masks.items())


def test_with_batchnorm_and_dropout_the_same_bits_twice(tmp_path: Path) -> None:
    one, other = (trial(tmp_path / name, processes=2, seeds=(0, 1)) for name in ("one", "other"))
    told, again = run_shared(one), run_shared(other)
    assert comparable(told) == comparable(again) and told["val/accuracy"] > 0.8
    assert all(same_bits(weights(one, seed), weights(other, seed)) for seed in (0, 1))


def test_every_process_ends_with_the_same_state(tmp_path: Path) -> None:
    """Of a network with BatchNorm and dropout; the running statistics are those of the first.

    So is a mask, which lies in memory in another order there.
    """
    answers = [tmp_path / f"{index}" for index in range(3)]
    begun = [
        processes.start(groups.train_and_tell, index, 3, f"file://{tmp_path}/meeting", answer)
        for index, answer in enumerate(answers)
    ]
    for process in begun:
        process.join(120)
    states = [json.loads(answer.read_text()) for answer in answers]
    assert states[0]["state"] == states[1]["state"] == states[2]["state"]
    assert len({state["seen"] for state in states}) == 3, "each is to see images of its own"


def test_processes_of_several_nodes_speak_over_what_leads_to_the_first(tmp_path: Path) -> None:
    """Not over what the name of their machine stands for, which may be itself."""
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    answers = [tmp_path / f"{index}" for index in range(2)]
    begun = [
        processes.start(groups.join_and_tell, index, f"tcp://127.0.0.1:{store.port}", answer)
        for index, answer in enumerate(answers)
    ]
    for process in begun:
        process.join(120)
    assert {answer.read_text() for answer in answers} == {"done lo"}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [5, 8, 100])
def test_every_example_of_a_batch_is_one_process_s(count: int, size: int) -> None:
    examples = 2 * size + 3
    split = TensorSplit(torch.arange(examples).view(-1, 1), torch.arange(examples))
    training = replace(TRAINING, batch_size=size)
    plans = [StepPlan(training, 7, 3, 3, share=Share(index, count)) for index in range(count)]
    whole = [labels for _, labels in StepPlan(training, 7, 3, 3).batches(split, 0, 3, torch.device("cpu"))]
    own = [[b for _, b in plan.batches(split, 0, 3, torch.device("cpu"))] for plan in plans]
    for step in range(3):
        parts = [plan.part(step, examples) for plan in plans]
        rows = [labels[step] for labels in own]
        assert [len(labels) for labels in rows] == [part.last - part.first for part in parts]
        counting = [labels for labels, part in zip(rows, parts, strict=True) if part.counts]
        assert torch.equal(torch.cat(counting), whole[step])
        assert sum(part.weight for part in parts) == pytest.approx(1)
    assert Share(1, 3).part(3, 8) == Part(0, 2, 3, counts=False)
    assert Share(1, 4).part(3, 4) == Part(1, 2, 3), "no process is to have more than of a full batch"


def test_labels_that_count_for_nothing_weigh_nothing(tmp_path: Path) -> None:
    """Where they are unevenly spread, and where a process has no other."""
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for ignored in ((0,), (0, 1, 2), (0, 1, 2, 3, 4)):
        labels = torch.tensor([0, 1, 2, 3, 0, 1])
        labels[list(ignored)] = -100
        whole = scores.clone().requires_grad_()
        functional.cross_entropy(whole, labels, label_smoothing=0.1).backward()
        meeting, answers = f"file://{tmp_path}/{len(ignored)}", [tmp_path / f"{i}.pt" for i in range(2)]
        begun = [
            processes.start(groups.gradient_of_share, index, meeting, (scores, labels), answer)
            for index, answer in enumerate(answers)
        ]
        for process in begun:
            process.join(120)
        own = torch.cat([torch.load(answer, weights_only=True) for answer in answers])
        torch.testing.assert_close(own / 2, whole.grad, rtol=1e-12, atol=1e-14)


def test_only_a_training_of_several_processes_has_their_number_in_its_address(tmp_path: Path) -> None:
    config = trial(tmp_path)
    assert training_identity(TRAINING, 1) == asdict(TRAINING)
    assert training_identity(TRAINING, 2) == asdict(TRAINING) | {"processes": 2}
    elsewhere = Adopt(TASK, TRAINING, ())
    assert "processes" not in json.dumps(stage_identity(elsewhere))
    assert '"processes": 2' in json.dumps(stage_identity(elsewhere, 2))
    keys = []
    for count in (1, 2, 3):
        setting = TrialSetting.of(replace(config, processes=count))
        keys.append(Run(setting, dense(config, setting.steps_per_epoch), 0).trajectory(1).key)
    assert len(set(keys)) == 3


def lossy(root: Path) -> TrialConfig:
    return trial(root, task=replace(TASK, loss=f"{USERS}:loss_of_processes"), processes=2)


def test_a_lost_process_costs_the_epoch_and_nothing_else(tmp_path: Path) -> None:
    undisturbed, config = lossy(tmp_path / "undisturbed"), lossy(tmp_path / "disturbed")
    run_shared(undisturbed)
    run._kept.clear()
    group = ForkedGroup(2, SECOND="dies", ONCE=str(tmp_path / "dead"))
    with closing(group), closing(trainables.Trial(config, group)) as one:
        with pytest.raises(trainables.ProcessLost, match=r"process 2 of the 2 that share .* exit code -9"):
            one.step()
        assert (tmp_path / "dead").exists() and not group._members
        while not (metrics := one.step())["final"]:
            pass
    assert same_bits(weights(config), weights(undisturbed))
    assert metrics["epochs_trained"] == 6  # of the five one was begun twice


def test_what_one_process_raises_is_why_the_trial_failed(tmp_path: Path) -> None:
    config = lossy(tmp_path)
    metrics = run_shared(config, SECOND="raises")
    assert metrics["failed"] == "ValueError: the second will not"
    assert "In process 2 of the 2" in (Path(config.directory) / "error.txt").read_text()
    diverges = trial(tmp_path / "d", processes=2, training=replace(TRAINING, lr=1e18, augment=()))
    assert "the loss became" in run_shared(diverges)["failed"]


def test_no_process_outlives_the_one_that_began_it(tmp_path: Path) -> None:
    """Nor does a folder: it is killed in the middle of a training, and the trial goes on elsewhere.

    Modules of the folder that it runs in have names that it and Python use.
    """
    config, theirs, temporary = lossy(tmp_path), tmp_path / "theirs", tmp_path / "temporary"
    theirs.mkdir()
    temporary.mkdir()
    for name in ("trainables", "queue"):
        (theirs / f"{name}.py").write_text("raise SystemExit('not this one')")
    plain = json.dumps(trial_config.dump_python(config, mode="json"))
    program = (
        "import json, sys\nfrom trainables import run_trial, trial_config\nsys.path.insert(0, '')\n"
        "run_trial(trial_config.validate_python(json.loads(sys.argv[1])))"
    )
    parent = psutil.Popen(
        [sys.executable, "-P", "-c", program, plain],
        cwd=theirs,
        stdout=subprocess.DEVNULL,
        env=os.environ
        | {"TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2])}
        | {"SECOND": "waits", "ONCE": str(tmp_path / "waiting")},
    )
    until((tmp_path / "waiting").exists, 120)
    members = [one for one in parent.children() if "trainables.execution.member" in one.cmdline()]
    assert len(members) == 2
    open_to = {one.laddr.ip for m in members for one in m.net_connections() if one.status == "LISTEN"}
    assert open_to <= {"127.0.0.1", "::1"}, "others on the network can reach them"
    parent.kill()
    parent.wait(30)
    gone, alive = psutil.wait_procs(members, timeout=60)
    assert (len(gone), alive) == (2, [])
    assert not [path for path in temporary.glob("tombola-*") if path.is_dir()]
    assert 1 <= run_shared(config)["epochs_trained"] <= 6


def first_step(root: Path, beside: Beside) -> Path:
    """The folder of a work of one step."""
    folder, config, network = root / "work", trial(root), Network(build_network(TASK))
    (whole,) = dense(config, TrialSetting.of(config).steps_per_epoch)
    assert isinstance(whole, Train)
    work = Work(whole, (0, 1), 0, TASK, TRAINING, config.store, config.directory, keep=(1,))
    folder.mkdir()
    epoch_work.write(folder, work, network, make(network.module, TRAINING), beside)
    return folder


def test_weights_are_drawn_to_tensors_of_any_memory_format(tmp_path: Path) -> None:
    aim = torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last)
    folder = first_step(tmp_path, Beside(aims={"0.weight": aim}))
    _, _, beside = epoch_work.read_networks(folder, TrialSetting.of(trial(tmp_path)))
    assert beside.aims and torch.equal(beside.aims["0.weight"], aim)


def test_a_full_disk_is_no_fault_of_the_trial(tmp_path: Path) -> None:
    """Where a process leaves what it trained, and where a network is copied from that was kept early."""
    folder, store = first_step(tmp_path, Beside()), tmp_path / "step"
    store.mkdir()
    (folder / "metrics.json").symlink_to("/dev/full")  # the kernel's own full disk
    answer = GroupMember(0, 1, "cpu").do("train", str(folder))
    assert answer.outcome == "store" and "is full; free some space" in answer.said
    (store / "model.safetensors").symlink_to("/dev/full")
    with pytest.raises(trainables.StoreError, match="is full"), disk_full_explained(store):
        epoch_work.copy_kept(folder, 1, store)


def test_a_process_that_cannot_begin_says_why(tmp_path: Path) -> None:
    missing = pytest.raises(trainables.TrainingError, match="device 'cuda:9' is not there")
    with closing(ForkedGroup(2)) as group, missing:
        group.train(tmp_path, "cuda:9")


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_train_what_one_does(tmp_path: Path) -> None:
    alone = exact(tmp_path / "one", "prune_at_init", device="cuda")
    trainables.run_trial(alone)
    shared = exact(tmp_path / "two", "prune_at_init", device="cuda", processes=2)
    trainables.run_trial(shared)
    for name, values in weights(alone).items():
        torch.testing.assert_close(weights(shared)[name], values, rtol=1e-8, atol=1e-8)
