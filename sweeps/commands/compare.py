"""``tombola compare``."""

import json
from collections.abc import Sequence
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sweeps.commands.options.study_folder import StudyFolder
from sweeps.errors import SweepError
from sweeps.report.drawing.wording import (
    NONE,
    count,
    difference,
    mean_and_spread,
    method_of,
    number,
)
from sweeps.report.side_by_side import Contest, Entry, contests, metric_of, standing
from sweeps.study.load import load_record
from sweeps.study.record import Objective
from trainables.metric_names import FLOPS_KEPT, LATENCY_MS, PARAMS_KEPT, VALIDATION
from trainables.places.place import Place

_COSTS = (PARAMS_KEPT, FLOPS_KEPT, LATENCY_MS)


@click.command()
@click.argument("studies", type=StudyFolder(), metavar="DIR DIR...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def compare(studies: tuple[Place, ...], as_json: bool) -> None:
    """Put studies of one task side by side: who is best at which budget, and how sure that is."""
    if len(set(map(str, studies))) < 2:
        raise SweepError("Give two studies or more to compare.")
    records = [load_record(study) for study in studies]
    metric, found = metric_of(records), contests(records)
    if as_json:
        click.echo(json.dumps([_as_data(contest, metric) for contest in found], indent=1))
        return
    console = Console(highlight=False)
    for contest in found:
        console.print(_table(contest, metric))
        console.print()
    for sentence in _sentences(found):
        console.print(sentence, markup=False, soft_wrap=True)


def _table(contest: Contest, metric: Objective) -> Table:
    """Tabulate one budget; the columns have the same widths in all tables, so that they read as one."""
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), collapse_padding=True, expand=True
    )
    table.add_column(contest.budget, ratio=1, overflow="fold", header_style="bold")
    heads = (metric.name.removeprefix(VALIDATION), "behind", "CR-P", "CR-F", "ms")
    for head, width in zip(heads, (12, 16, 5, 5, 5), strict=True):
        table.add_column(head, justify="right", width=width)
    for place, entry in enumerate(contest.entries):
        table.add_row(*_cells(entry, metric), style="" if place else "bold")
    return table


def _cells(entry: Entry, metric: Objective) -> list[str]:
    metrics = entry.trial.metrics
    reached = mean_and_spread(metric.name, metrics.get(metric.name), metrics.get(f"{metric.name}_std"))
    behind = entry.behind
    told = "" if behind is None else difference(metric.name, behind.difference)
    if behind is not None and behind.chance:
        told += f", {behind.chance}".replace(" = ", "=")
    removed = [f"{1 - metrics[kept]:.1%}" if kept in metrics else NONE for kept in (PARAMS_KEPT, FLOPS_KEPT)]
    costs = [*removed, number(LATENCY_MS, metrics.get(LATENCY_MS))]
    return [escape(f"{entry.record.directory.name} ({method_of(entry.trial)})"), reached, told, *costs]


def _sentences(found: Sequence[Contest]) -> list[str]:
    shared = [contest for contest in found if len(contest.entries) > 1]
    if not shared:
        return ["No budget is common to two of them, so that none is ahead of another."]
    told = [
        f"{study} is ahead at {ahead} of {count(len(shared), 'budget')}, at {sure or 'none'} beyond chance."
        for study, (ahead, sure) in standing(found).items()
    ] or [f"They are level at each of {count(len(shared), 'budget')}: none is ahead."]
    over = {entry.behind.over for contest in shared for entry in contest.entries if entry.behind}
    how = f"Differences are on validation, told from {' or '.join(sorted(over))}" if over else ""
    note = "; each network is its study's best of several there, so the first is flattered."
    return told + (
        [how + note] if how else ["The studies' seeds differ: nothing tells their networks apart."]
    )


def _as_data(contest: Contest, metric: Objective) -> dict[str, Any]:
    return {"budget": contest.budget, "networks": [_network(entry, metric) for entry in contest.entries]}


def _network(entry: Entry, metric: Objective) -> dict[str, Any]:
    metrics, behind = entry.trial.metrics, entry.behind
    names = (metric.name, f"{metric.name}_std", *_COSTS)
    return {
        "study": str(entry.record.directory),
        "trial": entry.trial.key,
        "metrics": {name: metrics[name] for name in names if name in metrics},
        "behind": behind and {"difference": behind.difference, "p": behind.p, "over": behind.over},
    }
