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
