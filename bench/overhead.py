"""Measures what a trivial trial takes, ours and that of Ray Tune with OptunaSearch and WandbLoggerCallback.

Both run on one local Ray, one after the other, with W&B offline and a trial for each processor at once. A
trial trains a small perceptron on 128 random points for one epoch, which takes milliseconds: what is left is
overhead. Ours is `tombola run` as a person types it (a study that survives, results on disk, networks kept, a
W&B run each); theirs a function trainable with both as Ray's documentation has them. What passes between the
first trial's end and the last one's, divided by the trials in between, is what a trial takes; starting is no
part.

Run: python -m bench.overhead [--ours 30] [--theirs 8]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import optuna
import ray
from optuna.trial import TrialState

import sweeps

TASK = """
import torch
from torch import nn

def network():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))

def data():
    points = torch.randn(192, 8, generator=torch.Generator().manual_seed(0))
    labels = (points.sum(1) > 0).long()
    parts = {"train": slice(0, 128), "validation": slice(128, 160), "test": slice(160, 192)}
    return {name: (points[part], labels[part]) for name, part in parts.items()}
"""
SWEEP = """
name: trivial
project: trivial
task: {network: "tiny:network", data: "tiny:data"}
training: {epochs: 1, batch_size: 32, optimizer: sgd, lr: 0.1}
compression: {method: magnitude, recalibrate_bn: 0, retrain_epochs: 1}
parameters:
  budget.keep_ratio: {min: 0.1, max: 0.9}
method: tpe
metric: {name: val/accuracy, goal: maximize}
"""
THEIRS = """
import sys, time
import ray
from ray import tune
from ray.air.integrations.wandb import WandbLoggerCallback
from ray.tune.search.optuna import OptunaSearch

address, count, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Ends(tune.Callback):
    def on_trial_complete(self, iteration, trials, trial, **info):
        print("ended", time.time(), flush=True)


def trial(config):
    import tiny
    import torch
    from torch.nn.functional import cross_entropy

    network, splits = tiny.network(), tiny.data()
    optimizer = torch.optim.SGD(network.parameters(), lr=config["lr"])
    inputs, labels = splits["train"]
    for x, y in zip(inputs.split(32), labels.split(32)):
        optimizer.zero_grad()
        cross_entropy(network(x), y).backward()
        optimizer.step()
    inputs, labels = splits["validation"]
    tune.report({"accuracy": float((network(inputs).argmax(1) == labels).float().mean())})


ray.init(address=address, runtime_env={"working_dir": "."}, logging_level="error")
tune.Tuner(
    trial,
    param_space={"lr": tune.loguniform(0.01, 1.0)},
    tune_config=tune.TuneConfig(search_alg=OptunaSearch(), metric="accuracy", mode="max", num_samples=count),
    run_config=tune.RunConfig(
        name="theirs",
        storage_path=folder,
        callbacks=[*([WandbLoggerCallback(project="trivial")] if sys.argv[4:] else []), Ends()],
    ),
).fit()
"""


def ours(address: str, count: int, folder: Path, mode: str = "offline") -> list[float]:
    """Run our sweep with W&B in this mode; returns when each trial ended, in seconds."""
    (folder / "trivial.yaml").write_text(SWEEP)
    command = [sys.executable, "-m", "tombola", "run", "trivial.yaml", "--trials", str(count)]
    command += ["--out", "ours", "--address", address]
    subprocess.run(command, cwd=folder, env=os.environ | {"WANDB_MODE": mode}, check=True)
    record = sweeps.load_record(folder / "ours")
    rows = record.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(row.datetime_complete.timestamp() for row in rows if row.datetime_complete)


def theirs(address: str, count: int, folder: Path, with_wandb: bool = True) -> list[float]:
    """Run Tune with its callback for W&B, or without; returns when each trial ended, in seconds."""
    (folder / "theirs.py").write_text(THEIRS)
    command = [sys.executable, "theirs.py", address, str(count), str(folder / "theirs")]
    command += ["with W&B"] if with_wandb else []
    environment = os.environ | {"WANDB_MODE": "offline"}
    printed = subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return [float(line.split()[1]) for line in printed.splitlines() if line.startswith("ended ")]


def a_trial(ends: list[float]) -> float:
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", type=int, default=30)
    parser.add_argument("--theirs", type=int, default=8)
    asked = parser.parse_args()
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "PYTHONWARNINGS": "ignore"}
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "tiny.py").write_text(textwrap.dedent(TASK))
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
        address = ray.get_runtime_context().gcs_address
        began = time.monotonic()
        mine = a_trial(ours(address, asked.ours, Path(scratch)))
        middle = time.monotonic()
        plain = a_trial(theirs(address, asked.theirs, Path(scratch)))
        print(f"ours:   {mine:6.2f} s a trial ({asked.ours} trials, {middle - began:.0f} s in all)")
        took = time.monotonic() - middle
        print(f"theirs: {plain:6.2f} s a trial ({asked.theirs} trials, {took:.0f} s in all)")
        print(f"theirs / ours: {plain / mine:.0f}")
        ray.shutdown()


if __name__ == "__main__":
    main()
