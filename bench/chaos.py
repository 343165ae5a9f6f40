"""Kills at random, for minutes, what a study runs on, and counts what that did to it.

A study in PostgreSQL runs on a Ray cluster of two nodes, all of it on this machine, over loopback. Every few
seconds one of these is ended as a power cut does: the driver (which is started anew at once, as `resume`),
a worker in the middle of a trial, the second node with all its processes, the database server. Which one and
when is drawn from the seed; what the victim is just doing is not. After the time is up the study is brought
to the end that it then has, undisturbed. Counted are the trials that were asked for, those that ended, those
that did not (lost), those that ended twice (doubled), and the epochs that were trained more than once.

Run: python -m bench.chaos [--minutes 10] [--seed 0] [--page docs/chaos.md]
"""

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import psutil
import yaml

from sweeps.study.rows.death import DEATH
from sweeps.study.rows.row import outcome_of, rows_by_trial
from tests.plugins.cluster import Cluster, running_cluster
from tests.plugins.postgresql import Server, running_server

ROOT = Path(__file__).parents[1]
CALM, DOWN = (4.0, 12.0), (1.0, 6.0)  # seconds between two kills, and that a node or the server stays away
WEIGHTS = {"worker": 4, "database": 3, "driver": 2, "raylet": 1}
ENDED = ("complete", "stopped_early", "failed")
SWEEP = {
    "name": "chaos",
    "task": {"network": "resnet20", "network_options": {"width": 4}, "data": "digits"},
    "training": {"epochs": 3, "batch_size": 128, "lr": 0.05},
    "compression": {"method": "alds", "retrain_epochs": 3, "recalibrate_bn": 128},
    "budget": {"keep_ratio": 0.4},
    "parameters": {"training.weight_decay": {"min": 0.0, "max": 0.001}},
    "method": "random",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "run_cap": 10_000,
}
"""Each weight decay has a dense network of its own: every trial trains six epochs."""


@dataclass
class Chaos:
    """A study under way, and what may happen to it."""

    folder: Path
    cluster: Cluster
    server: Server
    dice: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    driver: subprocess.Popen[bytes] | None = None

    @property
    def out(self) -> Path:
        return self.folder / "study"

    def begin(self) -> None:
        url = self.server.url.replace(self.server.password, "${CHAOS_PASSWORD}")
        (self.folder / "sweep.yaml").write_text(yaml.safe_dump({**SWEEP, "storage": {"study": url}}))
        self.start_driver()

    def start_driver(self, *options: str) -> None:
        command = [sys.executable, "-m", "tombola", "run", "sweep.yaml", "--out", str(self.out), *options]
        environment = {"PYTHONPATH": str(ROOT), "CHAOS_PASSWORD": self.server.password}
        with (self.folder / "driver.log").open("ab") as log:
            self.driver = subprocess.Popen(
                [*command, "--address", self.cluster.address],
                cwd=self.folder,
                env={**os.environ, **environment, "WANDB_MODE": "disabled"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_one(self) -> None:
        victim = self.dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        actions: dict[str, Callable[[], bool]] = {
            "driver": self.kill_driver,
            "worker": self.kill_worker,
            "raylet": self.kill_node,
            "database": self.kill_database,
        }
        if actions[victim]():
            self.killed[victim] += 1
            print(f"{time.strftime('%H:%M:%S')} killed: {victim}", flush=True)

    def kill_driver(self) -> bool:
        assert self.driver
        with suppress(ProcessLookupError):
            os.killpg(self.driver.pid, signal.SIGKILL)
        self.driver.wait()
        self.start_driver()
        return True

    def kill_worker(self) -> bool:
        workers = [
            process
            for node in self.cluster.nodes
            for process in node.processes()
            if _name(process).startswith("ray::") and "Trainable" in _name(process)
        ]
        if workers:
            self.dice.choice(workers).kill()
        return bool(workers)

    def kill_node(self) -> bool:
        self.cluster.second.kill()
        time.sleep(self.dice.uniform(*DOWN))
        self.cluster.second.start()
        return True

    def kill_database(self) -> bool:
        self.server.end(signal.SIGQUIT)
        time.sleep(self.dice.uniform(*DOWN))
        self.server.start()
        return True

    def restart_what_ended(self) -> None:
        """Start a driver, or a node, that ended by itself, as the person would who looks after it."""
        assert self.driver
        if self.driver.poll() is not None:
            self.killed["driver that ended by itself"] += 1
            self.start_driver()
        second = self.cluster.second
        if second.process is not None and second.process.poll() is not None:
            second.start()

    def study(self) -> optuna.Study:
        return optuna.load_study(study_name="chaos", storage=self.server.url)

    def come_to_an_end(self) -> int:
        """Let the study end that many trials that it has asked for; returns how many these are."""
        assert self.driver
        with suppress(ProcessLookupError):
            os.killpg(self.driver.pid, signal.SIGKILL)
        self.driver.wait()
        asked = len(rows_by_trial(self.study()))
        while True:
            self.start_driver("--trials", str(asked))
            if self.driver.wait() == 0:
                return asked
            print("a driver ended in vain:", (self.folder / "driver.log").read_text()[-500:], flush=True)


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()[:1])
    except psutil.Error:
        return ""


def table(chaos: Chaos, asked: int, minutes: float, seed: int) -> str:
    """Tabulate what was killed, and what became of the study."""
    ends, deaths = Counter[str](), Counter[str]()
    doubled = 0
    for rows in rows_by_trial(chaos.study()).values():
        ended = [outcome_of(row) for row in rows if outcome_of(row) in ENDED]
        ends[ended[0] if ended else "lost"] += 1
        doubled += len(ended) > 1
        deaths.update(row.user_attrs[DEATH] for row in rows if DEATH in row.user_attrs)
    epochs, repeated = 0, 0
    for log in chaos.out.glob("store/*/*/training_log.jsonl"):
        told = Counter(json.loads(line)["epoch"] for line in log.read_text().splitlines())
        epochs += sum(told.values())
        repeated += sum(told.values()) - len(told)
    kills = sum(chaos.killed.values())
    rows_of_table = [
        ("minutes of chaos, seed", f"{minutes:g}, {seed}"),
        ("killed", f"{kills}: " + ", ".join(f"{n} x {who}" for who, n in sorted(chaos.killed.items()))),
        (
            "deaths of workers as recorded",
            ", ".join(f"{n} {kind}" for kind, n in sorted(deaths.items())) or "0",
        ),
        ("trials asked for", str(asked)),
        ("trials that ended", ", ".join(f"{n} {end}" for end, n in sorted(ends.items()) if end != "lost")),
        ("trials lost", str(ends["lost"] + max(0, asked - ends.total()))),
        ("trials doubled", str(doubled)),
        ("epochs trained", str(epochs)),
        ("epochs trained more than once", f"{repeated} ({repeated / max(1, epochs):.1%})"),
    ]
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows_of_table)]
    return "\n".join(lines)


PAGE = """# Chaos

What random kills did to a study, as `python -m bench.chaos --minutes {minutes:g} --seed {seed}`
found it on {when} ({machine}).

{table}

{what}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", type=Path, help="where to write the table as a page")
    asked = parser.parse_args()
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "OMP_NUM_THREADS": "1"}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="tombola-chaos-"))
    with running_server() as server, running_cluster({}) as cluster:
        chaos = Chaos(folder, cluster, server, random.Random(asked.seed))
        chaos.begin()
        while not list(chaos.out.glob("trials/*/result.json")):
            time.sleep(0.5)
        ends = time.monotonic() + 60 * asked.minutes
        while time.monotonic() < ends:
            time.sleep(chaos.dice.uniform(*CALM))
            chaos.restart_what_ended()
            chaos.kill_one()
        print(f"{time.strftime('%H:%M:%S')} calm; the study comes to its end ...", flush=True)
        told = table(chaos, chaos.come_to_an_end(), asked.minutes, asked.seed)
    print(told)
    if asked.page:
        machine = f"{os.cpu_count()} cores for everything, nodes and database on one machine"
        what = textwrap.fill(" ".join((__doc__ or "").split("\n\n")[1].split()), 138)
        page = PAGE.format(
            minutes=asked.minutes,
            seed=asked.seed,
            when=time.strftime("%Y-%m-%d"),
            machine=machine,
            table=told,
            what=what,
        )
        asked.page.write_text(page)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
