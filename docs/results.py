"""Writes docs/results.md and its pictures from finished studies: `python -m docs.results runs/digits ...`."""

import argparse
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from docs import across_budgets
from docs.across_budgets import Budgets
from sweeps import StudyRecord, Sweep, SweepError, load_record
from sweeps.report import summary, write_report
from sweeps.report.drawing.chart import Chart, Table
from sweeps.report.drawing.wording import compact, plain
from sweeps.report.headline import headline
from sweeps.report.page import charts
from sweeps.running.opening import differences
from sweeps.search.epochs import epochs_trained, format_epochs
from tests.report.chromium import Browser, chromium

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "sweeps" / "configs"
_SHOWN = (
    "tickets",
    "all-tickets",
    "verdicts",
    "early-stop",
    "stability",
    "methods",
    "controls",
    "method-",
    "tradeoff-",
    "gradients",
    "front-",
    "layers",
    "error-curves",
    "screening",
)
"""The report's sections that the page shows, by how their anchors begin."""
_WIDTH = 900  # CSS pixels


@dataclass(frozen=True)
class Section:
    """A section of the report in Markdown; ``picture`` is the PNG's path below the page's folder."""

    title: str
    caption: str
    picture: str
    table: str


@dataclass(frozen=True)
class Study:
    """What the page says of a study."""

    name: str
    headline: str
    command: str
    facts: Sequence[tuple[str, str]]
    summary: str
    notes: str
    sections: Sequence[Section]


def write_page(directories: Iterable[Path], out: Path) -> None:
    """Write ``results.md`` and ``images/`` in the folder ``out``.

    ``images/report.png`` is how the first study's report begins. Raises `SweepError` where a directory
    holds no study.
    """
    records = [load_record(directory) for directory in directories]
    (out / "images").mkdir(parents=True, exist_ok=True)
    together = across_budgets.by_sweep(records)
    taken = {record.name for budgets in together for record in budgets.studies.values()}
    with tempfile.TemporaryDirectory() as scratch, chromium(Path(scratch) / "profile") as browser:
        studies = [
            _study(record, out, browser, Path(scratch) / f"{place}.html")
            for place, record in enumerate(record for record in records if record.name not in taken)
        ]
        studies += [_at_several_budgets(budgets, out, browser, Path(scratch)) for budgets in together]
        if (first := Path(scratch) / "0.html").exists():
            with browser.page() as page:  # the README's picture: how a report begins
                page.open(first, width=1100, height=1480)
                page.picture("", out / "images" / "report.png")
    frame = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, autoescape=False
    )
    (out / "results.md").write_text(
        frame.get_template("results.md.jinja").render(studies=studies).rstrip() + "\n", encoding="utf-8"
    )


def _study(record: StudyRecord, out: Path, browser: Browser, report: Path) -> Study:
    write_report(record, report)
    shown = [
        chart for chart in charts(record) if chart.anchor.startswith(_SHOWN) and (chart.figure or chart.table)
    ]
    with browser.page() as page:
        page.open(report, width=_WIDTH)
        for chart in shown:
            if chart.figure:
                page.picture(chart.anchor, out / _picture(record, chart))
    rows = [(row.label, *row.cells) for row in summary.rows(record)]
    return Study(
        record.name,
        headline(record),
        _command(record),
        _facts(record),
        _markdown(("Network", *summary.heads(record)), rows),
        " ".join(summary.notes(record)),
        [_section(record, chart) for chart in shown],
    )


def _at_several_budgets(budgets: Budgets, out: Path, browser: Browser, scratch: Path) -> Study:
    studies, drawing = list(budgets.studies.values()), scratch / f"{budgets.name}.html"
    across_budgets.picture(budgets).write_html(drawing, div_id="budgets", config={"displayModeBar": False})
    picture = f"images/{budgets.name}-budgets.png"
    with browser.page() as page:
        page.open(drawing, width=1200)
        page.picture("budgets", out / picture)
    replicates = studies[0].sweep.get("replicates", 1)
    sections = [
        Section(
            "Test accuracy over the share of the weights kept",
            f"The mean of {replicates} replicates, bars are its standard error.",
            picture,
            "",
        ),
        Section(
            "Compression within half a point of dense",
            "The smallest of the budgets above at which the mean drop on test is at most half a point, as "
            "ALDS's Table 1 asks for. CR-P and CR-F: the shares of parameters and multiply-adds removed. "
            "The spread is one standard deviation over replicates.",
            "",
            _markdown(*across_budgets.compression_table(budgets)),
        ),
        Section(
            "The score without labels",
            "Spearman's rank correlation between the score that the search is told and validation accuracy, "
            "both before any retraining, over the networks that were screened: -1 is a perfect score.",
            "",
            _markdown(*across_budgets.score_table(budgets)),
        ),
    ]
    facts = _facts(studies[0])
    seconds = sum(float(t.seconds or 0) for record in studies for t in (*record.trials, *record.baselines))
    facts = [(name, text) for name, text in facts if name in ("Machine", "Versions", "Replicates")]
    return Study(
        budgets.name,
        across_budgets.best_of_each(budgets),
        "\n".join(_command_with_changes(record, f"{budgets.name}.yaml") for record in studies),
        [*facts, ("Time in trials and baselines", f"{compact(round(seconds))} s")],
        _markdown(*across_budgets.accuracy_table(budgets)),
        "± is one standard error over replicates. Selection used the validation split; the test split was "
        "read once for each network, at the end.",
        sections,
    )


def _section(record: StudyRecord, chart: Chart) -> Section:
    table = _markdown(chart.table.heads, _rows(chart.table)) if chart.table else ""
    return Section(chart.title, chart.caption, _picture(record, chart) if chart.figure else "", table)


def _picture(record: StudyRecord, chart: Chart) -> str:
    return f"images/{record.name}-{chart.anchor.replace('/', '-')}.png"


def _command(record: StudyRecord) -> str:
    """Return the command of the shipped sweep file, unless the study has other values of its keys."""
    shipped = SHIPPED / f"{record.name}.yaml"
    if shipped.exists() and not list(
        differences(Sweep.from_file(shipped).resolved(), Sweep.from_data(dict(record.sweep)).resolved())
    ):
        return f"tombola run sweeps/configs/{shipped.name}"
    return f"tombola run {os.path.relpath(record.directory)}/sweep.yaml"


def _command_with_changes(record: StudyRecord, shipped: str) -> str:
    """Return the command of a shipped sweep file with the keys set in which the study differs from it."""
    theirs, ours = (
        Sweep.from_file(SHIPPED / shipped).resolved(),
        Sweep.from_data(dict(record.sweep)).resolved(),
    )
    changes = []
    for key in differences(theirs, ours):
        if key.startswith("storage."):  # where, not what
            continue
        value: Any = ours
        for part in key.split("."):
            value = value[part]
        changes.append(f"--set {key}={value}")
    return " ".join([f"tombola run sweeps/configs/{shipped}", *changes])


def _facts(record: StudyRecord) -> list[tuple[str, str]]:
    came_from, seconds = record.provenance, sum(t.seconds or 0 for t in record.trials)
    machine = came_from.get("machine", {})
    lines = [
        ("Begun", str(came_from["created"])),
        (
            "Machine",
            f"{machine['processor']}, {machine['cores']} cores, {machine['system']}" if machine else "",
        ),
        ("Versions", plain(came_from["versions"])),
        ("Commit", str(came_from.get("git_commit") or "")),
        ("Trials", f"{record.count('complete')} complete of {record.target}"),
        ("Replicates", str(record.sweep.get("replicates", 1))),
        ("Epochs trained", format_epochs(epochs_trained(record))),
        ("Time in trials", f"{compact(round(seconds))} s"),
    ]
    return [(name, text) for name, text in lines if text]


def _rows(table: Table) -> list[tuple[str, ...]]:
    return [tuple(f"{text} ({detail})" if detail else text for text, detail in row) for row in table.rows]


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "studies", nargs="+", type=Path, help="folders of finished studies, in the page's order"
    )
    parser.add_argument("--out", type=Path, default=HERE, help="where results.md and images/ go")
    arguments = parser.parse_args()
    try:
        write_page(arguments.studies, arguments.out)
    except SweepError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
