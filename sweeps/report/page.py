"""The page around the charts."""

import os
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from sweeps.report import header, summary
from sweeps.report.chart import Chart
from sweeps.report.curves import curves_chart
from sweeps.report.front import front_charts
from sweeps.report.history import history_chart
from sweeps.report.importance import importance_chart, importances
from sweeps.report.layers import layers_chart
from sweeps.report.trials import trial_table
from sweeps.study.record import StudyRecord

_HERE = Path(__file__).parent


def write_report(record: StudyRecord, path: Path) -> None:
    """Write the study's report: one HTML file, plotly's script within, that asks the network for nothing.

    The same record gives the same bytes. A report that stands is replaced only by a whole one.

    Raises:
        OSError: the file cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(_render(record), encoding="utf-8")
    unfinished.replace(path)


def _render(record: StudyRecord) -> str:
    pages = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shares, reason = importances(record)
    charts = _charts(record, shares, reason)
    return pages.get_template("page.html").render(
        record=record,
        facts=header.facts(record),
        tally=header.tally(record),
        headline=summary.headline(record),
        heads=summary.heads(record),
        rows=summary.rows(record),
        notes=summary.notes(record),
        charts=charts,
        figures={c.anchor: c.figure.to_plotly_json() for c in charts if c.figure is not None},
        table=trial_table(record, shares),
        provenance=header.provenance(record),
        sweep=header.sweep_file(record),
        plotly=get_plotlyjs() if any(c.figure for c in charts) else "",
    )


def _charts(record: StudyRecord, shares: dict[str, float], reason: str) -> list[Chart]:
    curves = curves_chart(record)
    return [
        *front_charts(record),
        history_chart(record),
        *([curves] if curves else []),
        importance_chart(shares, reason),
        layers_chart(record),
    ]
