"""Measures what the driver's own part of a trial costs as a study grows, in a journal and in PostgreSQL.

A trial is what a driver does for one: it asks for 50 parameters (tolerances of layers, drawn by TPE), hears
five reports and tells the end; nothing is trained. A study is filled with finished trials up to each size,
then the last 40 are run this way and timed, the study is opened again as `resume` does, and the growth of the
process's memory is read. Times are those of the driver's processor and, in brackets, the median of what
passed on the clock, which a busy machine stretches. The database server is one of this machine, on loopback.

Run: python -m bench.scale [--trials 10000] [--picture docs/images/scale.png]
"""

import argparse
import math
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
import plotly.graph_objects as go
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from sweeps.search import samplers
from sweeps.study import storage
from sweeps.study.ledger import Ledger
from sweeps.study.paths import StudyPaths
from sweeps.sweep_file.space import Space
from tests.plugins.postgresql import running_server
from tests.report.chromium import chromium

PARAMETERS, REPORTS, TIMED = 50, 5, 40
SPACE = Space({f"layer{i}.tolerance": FloatDistribution(0.1, 10.0, log=True) for i in range(PARAMETERS)})
SIZES = (100, 300, 1_000, 3_000, 10_000)
COLORS = {"journal": "#1f77b4", "PostgreSQL": "#d62728"}


@dataclass(frozen=True)
class Growth:
    """What a study of ``trials`` costs: milliseconds a trial, seconds to open it, megabytes in memory."""

    trials: int
    asking: float
    a_trial: float
    on_the_clock: float
    opening: float
    memory: float


def opened(paths: StudyPaths, url: str | None) -> Ledger:
    if url is None:
        storage.heal(paths.journal)
    study = storage.create(paths, "scale", url, ["maximize"])
    draw = partial(samplers.build, "tpe", {}, SPACE.distributions, 0)
    return Ledger(study, SPACE, draw, lambda _: None, lambda _: None)


def value_of(params: dict[str, float], dice: random.Random) -> float:
    return -sum(math.log(value) ** 2 for value in params.values()) / PARAMETERS + dice.gauss(0, 0.1)


def metrics_of(value: float) -> dict[str, float]:
    return {"val/accuracy": value, "val/loss": -value, "compress/params_kept": 0.1, "step": 100, "epoch": 5}


def fill(ledger: Ledger, size: int, dice: random.Random) -> None:
    """Add finished trials until the study has ``size``."""
    for _ in range(size - sum(ledger.counts().values())):
        params = {name: 10 ** dice.uniform(-1, 1) for name in SPACE.distributions}
        value = value_of(params, dice)
        row = create_trial(
            value=value,
            params=params,
            distributions=SPACE.distributions,
            user_attrs={"metrics": metrics_of(value), "details": {"seconds": 1.0}},
            intermediate_values={epoch: value - 1 / (1 + epoch) for epoch in range(REPORTS)},
        )
        ledger.study.add_trial(row)


def trial(ledger: Ledger, dice: random.Random) -> tuple[float, float, float]:
    """Run a trial's bookkeeping; returns processor seconds of asking and of all of it, and what passed."""
    start, began = time.process_time(), time.perf_counter()
    root, params = ledger.ask() or (0, {})
    asked = time.process_time()
    value = value_of(params, dice)
    for epoch in range(REPORTS):
        ledger.report(root, epoch, value - 1 / (1 + epoch))
    ledger.complete(root, [value], metrics_of(value), {"seconds": 1.0}, {})
    return asked - start, time.process_time() - start, time.perf_counter() - began


def grown(paths: StudyPaths, url: str | None, most: int) -> Iterator[Growth]:
    dice, ledger, at_first = random.Random(0), opened(paths, url), memory()
    for size in (size for size in SIZES if size <= most):
        fill(ledger, size - TIMED, dice)
        times = list(zip(*(trial(ledger, dice) for _ in range(TIMED)), strict=True))
        asking, a_trial = (1000 * statistics.mean(column) for column in times[:2])
        held, start = memory() - at_first, time.process_time()
        opened(paths, url)
        opening = time.process_time() - start
        yield Growth(size, asking, a_trial, 1000 * statistics.median(times[2]), opening, held)


def memory() -> float:
    """The megabytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measured(name: str, folder: Path, url: str | None, most: int) -> list[Growth]:
    """Measure one storage and print it, in a process of its own: its memory is told too."""
    paths, found = StudyPaths(folder / name), []
    paths.root.mkdir()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{name:<12}{'ask':>10}{'ask, 5 reports, tell':>32}{'open again':>14}{'memory':>12}")
    for growth in grown(paths, url, most):
        found.append(growth)
        print(
            f"{growth.trials:>7,}     {growth.asking:7.1f} ms"
            f"{growth.a_trial:19.1f} ms ({growth.on_the_clock:5.0f})"
            f"{growth.opening:11.2f} s{growth.memory:9.0f} MB",
            flush=True,
        )
    return found


def draw(found: dict[str, list[Growth]], picture: Path) -> None:
    """Draw the growth as a PNG: what a trial costs, and what opening the study does."""
    figure = go.Figure()
    for name, growths in found.items():
        sizes = [growth.trials for growth in growths]
        for title, dash, values in (
            ("ask, 5 reports, tell", "solid", [growth.a_trial for growth in growths]),
            ("ask alone", "dot", [growth.asking for growth in growths]),
        ):
            line = {"color": COLORS[name], "dash": dash}
            figure.add_scatter(x=sizes, y=values, name=f"{name}: {title}", line=line, mode="lines+markers")
    figure.add_hline(y=50, line={"color": "#888888", "width": 1, "dash": "dash"})
    figure.update_xaxes(title="trials of 50 parameters in the study", type="log", tickvals=SIZES)
    figure.update_yaxes(title="milliseconds of the driver, a trial", rangemode="tozero")
    figure.update_layout(template="plotly_white", width=900, height=420, margin={"t": 20})
    with tempfile.TemporaryDirectory() as scratch:
        drawing = Path(scratch) / "scale.html"
        figure.write_html(drawing, div_id="scale", config={"displayModeBar": False})
        with chromium(Path(scratch) / "profile") as browser, browser.page() as page:
            page.open(drawing, width=940)
            page.picture("scale", picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=SIZES[-1])
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    alone, found = multiprocessing.get_context("spawn"), {}
    with tempfile.TemporaryDirectory() as scratch, running_server() as server:
        for name, url in (("journal", None), ("PostgreSQL", server.url)):
            with alone.Pool(1) as pool:
                found[name] = pool.apply(measured, (name, Path(scratch), url, asked.trials))
    if asked.picture:
        draw(found, asked.picture)


if __name__ == "__main__":
    main()
