"""Measures what the driver's own part of a trial costs as a study grows, in a journal and in PostgreSQL.

A trial is what a driver does for one: it asks for 50 parameters (tolerances of layers, drawn by TPE), hears
five reports and tells the end. Trials run by the thousand without training anything; at each size the last
ones are timed, the study is opened again as `resume` does, and the process's memory is read. The database
server is one of this machine, on loopback. Times are wall time: writing to disk is part of them.

Run: python bench/scale.py [--trials 10000] [--picture docs/images/scale.png]
"""

import argparse
import gc
import math
import os
import random
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution

from sweeps.search import samplers
from sweeps.study import storage
from sweeps.study.ledger import Ledger
from sweeps.study.paths import StudyPaths
from sweeps.sweep_file.space import Space
from tests.plugins.ports import free_port
from tests.plugins.postgresql import running_server, server_programs

PARAMETERS, REPORTS, TIMED = 50, 5, 40
SPACE = Space({f"layer{i}.tolerance": FloatDistribution(0.1, 10.0, log=True) for i in range(PARAMETERS)})
SIZES = (100, 1_000, 10_000)


@dataclass(frozen=True)
class Growth:
    """What a study of ``trials`` costs: milliseconds a trial, seconds to open it, megabytes in memory."""

    trials: int
    asking: float
    a_trial: float
    opening: float
    memory: float


def opened(paths: StudyPaths, url: str | None) -> Ledger:
    storage.heal(paths.journal)
    study = storage.create(paths, "scale", url, ["maximize"])
    draw = partial(samplers.build, "tpe", {}, SPACE.distributions, 0)
    return Ledger(study, SPACE, draw, lambda _: None, lambda _: None)


def trial(ledger: Ledger, dice: random.Random) -> tuple[float, float]:
    """Run a trial's bookkeeping; returns the seconds of asking, and of all of it."""
    start = time.perf_counter()
    root, params = ledger.ask() or (0, {})
    asked = time.perf_counter()
    value = -sum(math.log(value) ** 2 for value in params.values()) / PARAMETERS + dice.gauss(0, 0.1)
    for epoch in range(REPORTS):
        ledger.report(root, epoch, value - 1 / (1 + epoch))
    metrics = {
        "val/accuracy": value,
        "val/loss": -value,
        "compress/params_kept": 0.1,
        "step": 100,
        "epoch": 5,
    }
    ledger.complete(root, [value], metrics, {"seconds": 1.0}, {})
    return asked - start, time.perf_counter() - start


def grown(paths: StudyPaths, url: str | None, most: int) -> Iterator[Growth]:
    dice, ledger, at_first = random.Random(0), opened(paths, url), memory()
    for size in (size for size in SIZES if size <= most):
        times = [trial(ledger, dice) for _ in range(size - sum(ledger.counts().values()))][-TIMED:]
        asking, all_of_it = (1000 * sum(column) / TIMED for column in zip(*times, strict=True))
        held = memory() - at_first
        start = time.perf_counter()
        opened(paths, url)
        opening = time.perf_counter() - start
        gc.collect()
        yield Growth(size, asking, all_of_it, opening, held)


def memory() -> float:
    """The megabytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def database(folder: Path) -> Iterator[str]:
    programs = server_programs()
    assert programs, "PostgreSQL's server is missing; `make test-system` installs it."
    place = Path(tempfile.mkdtemp(prefix="tombola-pg-", dir="/tmp"))  # a socket's path must be short
    try:
        with running_server(programs, place, secrets.token_hex(16), free_port("127.0.0.1")) as url:
            yield url.replace("postgresql://", "postgresql+psycopg://")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def measured(most: int) -> dict[str, list[Growth]]:
    found: dict[str, list[Growth]] = {}
    with tempfile.TemporaryDirectory() as scratch, database(Path(scratch)) as url:
        for name, place in (("journal", None), ("PostgreSQL", url)):
            paths = StudyPaths(Path(scratch) / name)
            paths.root.mkdir()
            found[name] = []
            print(f"{name:<12}{'ask':>10}{'ask, 5 reports, tell':>24}{'open again':>14}{'memory':>12}")
            for growth in grown(paths, place, most):
                found[name].append(growth)
                print(
                    f"{growth.trials:>7,}     {growth.asking:7.1f} ms{growth.a_trial:21.1f} ms"
                    f"{growth.opening:12.2f} s{growth.memory:9.0f} MB",
                    flush=True,
                )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=SIZES[-1])
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    measured(asked.trials)


if __name__ == "__main__":
    main()
