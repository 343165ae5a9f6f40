"""Measures what W&B costs: a trial beside Ray Tune's WandbLoggerCallback, and a sweep under W&B's faults.

A trial: the sweeps of `bench.overhead` on one local Ray, W&B offline, each with W&B and without; a trial's
cost is the difference of what a trial takes. Ours is too small for that on a machine with anything else to
do, so what the driver spends in its tracker is measured too, and the larger of both counts.

Faults: a sweep of three trials in this process, against a loopback server that is well, down, takes requests
and never answers, refuses the key, answers 429, or dies in mid-sweep. What W&B costs is all the time that the
driver spends in its tracker: beginning, telling, and waiting at the end.

Run: python -m bench.wandb_cost [--ours 30] [--theirs 8] [--epochs 60] [--only faults]
"""

import argparse
import contextlib
import logging
import os
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray

import sweeps
from bench.overhead import TASK, a_trial, ours, theirs
from sweeps.sweep_file.sweep import Sweep
from sweeps.tracking.tracker import Tracker
from tests.track.wandb_server import WandbServer, wandb_server

_CALLS = ("__init__", "start", "log", "finish", "unfinished", "close")
FAULTS = {
    "well": "well",
    "down": "down",
    "hangs": "takes requests, never answers",
    "401": "refuses the key (401)",
    "429": "too many requests (429)",
    "500": "dies in mid-sweep (500)",
}


@contextlib.contextmanager
def clock(on_first_end: Any = None) -> Iterator[dict[str, float]]:
    """Add up the seconds of the tracker's calls by name; call ``on_first_end`` after the first trial."""
    seconds = dict.fromkeys(_CALLS, 0.0)
    originals = {name: getattr(Tracker, name) for name in _CALLS}

    def timed(name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return originals[name](*given, **named)
            finally:
                seconds[name] += time.perf_counter() - began
                if name == "finish" and on_first_end:
                    on_first_end()

        return call

    for name in _CALLS:
        setattr(Tracker, name, timed(name))
    try:
        yield seconds
    finally:
        for name, original in originals.items():
            setattr(Tracker, name, original)


def sweep(epochs: int) -> Sweep:
    """Three trials on digits."""
    return Sweep.from_data(
        {
            "name": "faults",
            "task": {"network": "lenet_300_100", "data": "digits"},
            "training": {"epochs": epochs, "batch_size": 64, "lr": 0.05},
            "compression": {"method": "alds", "retrain_epochs": epochs},
            "parameters": {"budget.keep_ratio": {"min": 0.2, "max": 0.6}},
            "method": "random",
            "metric": {"name": "val/accuracy", "goal": "maximize"},
            "run_cap": 3,
        }
    )


def under(fault: str, epochs: int, folder: Path) -> tuple[float, dict[str, float]]:
    """Run the sweep under a fault; returns its seconds, and those of the driver in its tracker by call."""
    with wandb_server() as server:
        address = "http://127.0.0.1:9" if fault == "down" else server.url
        os.environ |= {"WANDB_BASE_URL": address, "WANDB_API_KEY": "k" * 40, "WANDB_MODE": "online"}
        if fault in ("hangs", "401", "429"):
            _break(server, fault)
        dies = (lambda: _break(server, fault)) if fault == "500" else None
        began = time.perf_counter()
        with clock(dies) as seconds:
            sweeps.run(sweep(epochs), folder / fault, without_ray=True)
        return time.perf_counter() - began, seconds


def _break(server: WandbServer, fault: str) -> None:
    server.fault = "hangs" if fault == "hangs" else int(fault)


def faults(epochs: int, folder: Path) -> None:
    """Print the table of faults."""
    logging.getLogger("sweeps").setLevel(logging.ERROR)
    print("| W&B's server | sweep, s | W&B in all, s | beginning | trials | end |\n|---|---|---|---|---|---|")
    for fault, told in FAULTS.items():
        whole, cost = under(fault, epochs, folder)
        parts = [cost.pop("__init__"), cost.pop("close")]
        parts.insert(1, sum(cost.values()))
        cells = " | ".join(f"{part:.2f}" for part in (sum(parts), *parts))
        print(f"| {told} | {whole:.0f} | {cells} |", flush=True)


def a_trials_cost(count: int, of_theirs: int, folder: Path) -> None:
    """Print what W&B costs a trial, ours and Ray Tune's."""
    (folder / "tiny.py").write_text(textwrap.dedent(TASK))
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    address = ray.get_runtime_context().gcs_address
    mine, plain = {}, {}
    for on in (False, True):
        plain[on] = a_trial(theirs(address, of_theirs, _made(folder, f"theirs-{on}"), on))
        print(f"theirs {'with' if on else 'without'} W&B: {plain[on]:.3f} s a trial", flush=True)
    for mode in ("disabled", "offline"):
        mine[mode] = a_trial(ours(address, count, _made(folder, mode), mode))
        print(f"ours, {mode}: {mine[mode]:.3f} s a trial", flush=True)
    ray.shutdown()
    with clock() as seconds:
        os.environ["WANDB_MODE"] = "offline"
        sweeps.run(sweep(1), folder / "told", without_ray=True)
    told = sum(seconds[name] for name in ("start", "log", "finish")) / 3
    cost, their_cost = max(mine["offline"] - mine["disabled"], told), plain[True] - plain[False]
    print(f"ours in the tracker's calls: {1000 * told:.1f} ms a trial")
    print(
        f"W&B costs a trial {their_cost:.2f} s with theirs, {cost:.3f} s with ours: {their_cost / cost:.0f}"
    )


def _made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "tiny.py").write_text(textwrap.dedent(TASK))
    return folder / name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", type=int, default=30)
    parser.add_argument("--theirs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--only", choices=("faults", "trials"))
    asked = parser.parse_args()
    os.environ |= {"WANDB_SILENT": "true", "PYTHONWARNINGS": "ignore"}
    root = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as scratch:
        if asked.only != "trials":
            faults(asked.epochs, Path(scratch))
        if asked.only != "faults":
            a_trials_cost(asked.ours, asked.theirs, Path(scratch))


if __name__ == "__main__":
    main()
