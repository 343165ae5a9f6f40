"""``tombola status``."""

import json
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from sweeps.commands.options.cluster_option import also_on_a_cluster
from sweeps.commands.options.study_folder import StudyFolder
from sweeps.study.database.patience import NONE_NEEDED, Patience
from sweeps.study.database.url import without_password
from sweeps.study.driver.held import find_driver
from sweeps.study.driver.lock import Driver
from sweeps.study.load import load_record
from sweeps.study.paths import StudyPaths
from sweeps.study.provenance import read_provenance
from sweeps.study.record import StudyRecord
from sweeps.study.where import answering
from trainables.places.place import Place

_WATCH_EVERY = 2.0  # seconds


@click.command()
@click.argument("study", type=StudyFolder(), metavar="DIR")
@click.option("--storage", metavar="URL", help="The study's database, where its URL needs a password.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--watch", is_flag=True, help="Show it anew whenever it changes, until no driver runs it.")
@also_on_a_cluster
def status(study: Place, storage: str | None, as_json: bool, watch: bool) -> None:
    """Show how far the study in DIR is."""
    if not watch:
        click.echo(_standing(study, storage, as_json).text)
        return
    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live:
        for told in _changes(study, storage, as_json):
            if live:
                live.update(Text(told), refresh=True)
            else:
                click.echo(told)


@dataclass(frozen=True)
class _Standing:
    text: str
    is_driven: bool


def _standing(study: Place, storage: str | None, as_json: bool) -> _Standing:
    paths = StudyPaths(study)
    with answering(paths.root):
        held = read_provenance(paths)
        driver = find_driver(paths, held["name"], storage or held["storage"])
    record = load_record(study, storage)  # afterwards: what a driver left that is gone is all there is
    told = describe(record, driver)
    text = json.dumps(told, indent=1) if as_json else "\n".join(_lines(study, record, driver, told))
    return _Standing(text, driver is not None)


def _changes(study: Place, storage: str | None, as_json: bool) -> Iterator[str]:
    """Yield how the study stands whenever that has changed, at last how it was left."""
    url = storage or read_provenance(StudyPaths(study))["storage"]
    patience = Patience(without_password(url), partial(click.echo, err=True)) if url else NONE_NEEDED
    now = _standing(study, storage, as_json)
    yield now.text
    while now.is_driven:
        time.sleep(_WATCH_EVERY)
        before, now = now, patience.insist(lambda: _standing(study, storage, as_json))
        if now.text != before.text:
            yield now.text


def _lines(
    study: Place, record: StudyRecord, driver: Driver | None, told: Mapping[str, Any]
) -> Iterator[str]:
    yield f"{told['study']}: {told['complete']} of {told['target']} trials complete"
    yield from _who_drives(study, driver, told, record.sweep.get("method") == "grid")
    for outcome in ("stopped_early", "failed", "infeasible", "running"):
        if told[outcome]:
            yield f"  {outcome.replace('_', ' ')}: {told[outcome]}"
    if died := told["deaths"]:
        yield "  workers that died: " + ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in died.items())
    if screened := told.get("screened"):
        best = "" if screened["best"] is None else f", best {screened['best']:.4g}"
        yield f"  screened without training: {screened['trials']} of {screened['target']}{best}"
    if record.limits:
        yield f"  keep every constraint: {told['feasible']} of {told['complete']}"
    if nearest := record.nearest:
        yield f"  nearest: trial {nearest.key}, misses {record.misses(nearest)}"
    if told["best"]:
        values = ", ".join(f"{name} {value:.6g}" for name, value in told["best"]["values"].items())
        yield f"  best: trial {told['best']['trial']}, {values}"


def _who_drives(
    study: Place, driver: Driver | None, told: Mapping[str, Any], on_a_grid: bool
) -> Iterator[str]:
    go_on = shlex.join(["tombola", "resume", str(study)])
    done = told["complete"] + told["stopped_early"] + told["failed"]
    done += told["infeasible"] if on_a_grid else 0  # elsewhere it is a draw that costs nothing
    if driver is not None:
        silent = "" if driver.heard else ", and gives no sign of life just now"
        yield f"  driver: {driver}, since {driver.since}{silent}"
    elif told["time_is_up"]:
        yield f"  stopped at its time limit; go on with: {go_on}"
    elif told["running"] or done < told["target"]:
        yield f"  no driver runs it; go on with: {go_on}"


def describe(record: StudyRecord, driver: Driver | None) -> dict[str, Any]:
    """Return the study's standing as plain data.

    ``running`` counts trials under way or waiting, also those a dead driver left; ``driver`` is null where
    none lives; ``deaths`` counts the workers that died, by kind; ``screened`` is there where the
    sweep screens.
    """
    names = [o.name for o in record.objectives]
    best, nearest = record.best, record.nearest
    return {
        "study": record.name,
        "target": record.target,
        "complete": record.count("complete"),
        "stopped_early": record.count("stopped_early"),
        "failed": record.count("failed"),
        "infeasible": record.count("infeasible"),
        "running": record.count("running") + record.count("waiting"),
        "deaths": dict(sorted(record.deaths.items())),
        "driver": driver and asdict(driver),
        "time_is_up": record.time_is_up,
        "best": best
        and {
            "trial": best.key,
            "values": dict(zip(names, best.values or (), strict=True)),
            "params": dict(best.params),
        },
        "constraints": [limit.name for limit in record.limits],
        "feasible": len(record.feasible),
        "nearest": nearest
        and {
            "trial": nearest.key,
            "missed": {limit.name: excess for limit, excess in record.missed(nearest).items()},
        },
        "objectives": [{"name": o.name, "goal": o.goal} for o in record.objectives],
        **({"screened": _screened(record)} if record.sweep.get("screen") else {}),
    }


def _screened(record: StudyRecord) -> dict[str, Any]:
    """Return how far the screening is, and its best score so far."""
    scores = [trial.values[0] for trial in record.screened if trial.values]
    wanted = record.sweep["screen"]["trials"]
    return {"trials": len(record.screened), "target": wanted, "best": min(scores, default=None)}
