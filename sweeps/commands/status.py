"""``tombola status``."""

import json
import shlex
from pathlib import Path
from typing import Any

import click

from sweeps.commands.study_folder import StudyFolder
from sweeps.study.load import load_record
from sweeps.study.record import StudyRecord


@click.command()
@click.argument("study", type=StudyFolder(), metavar="DIR")
@click.option("--storage", metavar="URL", help="The study's database, where its URL needs a password.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(study: Path, storage: str | None, as_json: bool) -> None:
    """Show how far the study in DIR is."""
    record = load_record(study, storage)
    told = describe(record)
    if as_json:
        click.echo(json.dumps(told, indent=1))
        return
    click.echo(f"{told['study']}: {told['complete']} of {told['target']} trials complete")
    for outcome in ("stopped_early", "failed", "infeasible", "running"):
        if told[outcome]:
            click.echo(f"  {outcome.replace('_', ' ')}: {told[outcome]}")
    if screened := told.get("screened"):
        best = "" if screened["best"] is None else f", best {screened['best']:.4g}"
        click.echo(f"  screened without training: {screened['trials']} of {screened['target']}{best}")
    if told["time_is_up"]:
        click.echo(
            f"  stopped at its time limit; go on with: {shlex.join(['tombola', 'resume', str(study)])}"
        )
    if record.limits:
        click.echo(f"  keep every constraint: {told['feasible']} of {told['complete']}")
    if nearest := record.nearest:
        click.echo(f"  nearest: trial {nearest.key}, misses {record.misses(nearest)}")
    if told["best"]:
        values = ", ".join(f"{name} {value:.6g}" for name, value in told["best"]["values"].items())
        click.echo(f"  best: trial {told['best']['trial']}, {values}")


def describe(record: StudyRecord) -> dict[str, Any]:
    """Return the study's standing as plain data.

    ``running`` counts trials under way or waiting, also those a dead driver left; ``screened`` is there where
    the sweep screens.
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
