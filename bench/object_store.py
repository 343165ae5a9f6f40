"""Measures what a study on an object store asks of it: requests and time a trial, and opening it again.

A small network is trained on digits for an epoch, compressed and retrained for one, on a disk and on an S3
server (SeaweedFS on loopback): the difference in time is the requests', each of which takes longer over a
network. A journal of many trials, five reports each, is written without training and opened again.

Run: python -m bench.object_store [--trials 10] [--journal 10000]
"""

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
from optuna.storages import JournalStorage

import sweeps
from sweeps import Sweep
from sweeps.study.journal.object_journal import ObjectJournal
from tests.plugins.s3 import BUCKET, S3Server
from trainables.places.bucket import Bucket
from trainables.places.object_path import ObjectPath

REPORTS = 5
SWEEP: dict[str, Any] = {
    "name": "bench",
    "task": {"network": "lenet_300_100", "data": "digits"},
    "training": {"epochs": 1, "batch_size": 128, "lr": 0.05},
    "compression": {"method": "alds", "retrain_epochs": 1, "recalibrate_bn": 0},
    "parameters": {"budget.keep_ratio": {"min": 0.2, "max": 0.6}},
    "method": "random",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
}


class Counted:
    """Counts the requests of this process, by kind."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self._ask = Bucket._ask

    def ask(self, bucket: Bucket, question: Any, *patience: float) -> Any:
        self.requests[question.__qualname__.split(".")[1]] += 1
        return self._ask(bucket, question, *patience)


def study(trials: int, out: str) -> float:
    """Run a sweep and return the seconds that it took."""
    begun = time.perf_counter()
    sweeps.run(Sweep.from_data({**SWEEP, "run_cap": trials}), out, without_ray=True)
    return time.perf_counter() - begun


def journal(trials: int, url: str) -> tuple[float, float]:
    """Write a study of so many trials; return the milliseconds of each and the seconds to open all."""
    root = ObjectPath(url, f"journal-{trials}")
    written = optuna.create_study(
        study_name="s",
        storage=JournalStorage(ObjectJournal(root)),
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    begun = time.perf_counter()
    for number in range(trials):
        trial = written.ask()
        trial.suggest_float("x", 0, 1)
        for epoch in range(REPORTS):
            trial.report(1 / (epoch + 1), epoch)
        written.tell(trial, float(number))
    wrote = time.perf_counter()
    opened = optuna.load_study(study_name="s", storage=JournalStorage(ObjectJournal(root)))
    assert len(opened.get_trials(deepcopy=False)) == trials
    return 1000 * (wrote - begun) / trials, time.perf_counter() - wrote


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--journal", type=int, default=10_000)
    arguments = parser.parse_args()
    os.environ["WANDB_MODE"] = "disabled"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="tombola-bench-"))
    server = S3Server(folder)
    try:
        server.start()
        os.environ |= server.environment
        study(2, str(folder / "warm"))
        disk = study(arguments.trials, str(folder / "disk"))
        counted = Counted()
        with mock.patch.object(Bucket, "_ask", lambda *asked: counted.ask(*asked)):
            stored = study(arguments.trials, f"s3://{BUCKET}/bench")
        told = ", ".join(f"{kind} {n / arguments.trials:.1f}" for kind, n in counted.requests.most_common())
        print(f"{arguments.trials} trials: {disk:.1f} s on disk, {stored:.1f} s on the object store")
        print(f"requests a trial: {counted.requests.total() / arguments.trials:.0f} ({told})")
        for trials in (arguments.journal // 10, arguments.journal):
            a_trial, opening = journal(trials, f"s3://{BUCKET}")
            print(f"journal of {trials} trials: {a_trial:.1f} ms a trial, opened in {opening:.1f} s")
    finally:
        if server.process is not None:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
