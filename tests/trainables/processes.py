"""Other processes for tests.

Forked from a server that has torch and the framework in memory already, so that each starts at once.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "torch._dynamo",
        "trainables",
        "trainables.task.data.digits",
        "tests.trainables.users",
        "tests.trainables.groups",
        "tests.trainables.processes",
    ]
)


def start(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    process = CONTEXT.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def wait_for(path: Path, seconds: float = 60) -> None:
    """Until ``path`` exists."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def run_trial(config: dict, environment: dict[str, str], answer: Path) -> None:
    """Run a trial to its end and write its metrics to ``answer``."""
    os.environ |= environment
    import trainables

    metrics = trainables.run_trial(trainables.trial_config.validate_python(config))
    answer.write_text(json.dumps(metrics))


def run_trials(configs: list[dict]) -> None:
    """Run trials to their ends, one after the other."""
    import trainables

    for config in configs:
        trainables.run_trial(trainables.trial_config.validate_python(config))


def hold(folder: Path, log: Path, seconds: float) -> None:
    """Hold a lease for a while; ``log`` gets a line when it is got and one when it is given back."""
    from trainables.store.lease import lease

    with lease(folder, heartbeat=0.1, patience=1.0):
        with log.open("a") as file:
            file.write(f"{os.getpid()} got\n")
        time.sleep(seconds)
        with log.open("a") as file:
            file.write(f"{os.getpid()} left\n")


def diverge_layer_by_layer(store: Path, log: Path, answer: Path, killed_in: int | None) -> None:
    """Measure a small network's divergence without each of its layers, sharing the work through ``store``.

    ``log`` gets a line for each measurement begun; the process is killed in its ``killed_in``-th one, counted
    from 1: whichever layer's that is, as no worker knows what the others leave to it.
    """
    import signal
    from functools import partial

    import torch

    from trainables.execution.compression.stored_calibration import StoredCalibration

    torch.manual_seed(0)
    network = torch.nn.Sequential(*(torch.nn.Linear(6, 6) for _ in range(7)))
    images, owner = torch.randn(40, 6), str(store / "trial")
    calibration = StoredCalibration(network, images, store, {"layers": 7}, owner)
    begun: list[str] = []

    def measured(name: str) -> dict[str, float]:
        with log.open("a") as file:
            file.write(f"{name}\n")
        begun.append(name)
        time.sleep(0.2)
        if len(begun) == killed_in:
            os.kill(os.getpid(), signal.SIGKILL)
        without = (torch.nn.Identity() if n == name else m for n, m in network.named_children())
        return {"divergence": calibration.divergence(torch.nn.Sequential(*without))}

    found = calibration.computed({name: partial(measured, name) for name, _ in network.named_children()})
    moments = {**calibration.moments(["0", "3"]), **calibration.gradient_moments(["1", "2"], 0)}
    found["moments"] = {n: float(m.second.sum()) for n, m in moments.items()}
    answer.write_text(json.dumps(found))
