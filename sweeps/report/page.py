"""The page around the charts."""

import base64
import gzip
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from sweeps.report import certainty, header, reproduce, summary
from sweeps.report.charts.error_curves import error_curves_chart
from sweeps.report.charts.failures import failures_chart
from sweeps.report.charts.front import front_charts
from sweeps.report.charts.history import history_chart
from sweeps.report.charts.importance import importance_charts, importances
from sweeps.report.charts.layer_figures import layer_figures_chart
from sweeps.report.charts.layers import layers_chart
from sweeps.report.charts.learning_curves import curves_chart
from sweeps.report.charts.parallel import parallel_chart
from sweeps.report.charts.replicates import replicates_chart
from sweeps.report.charts.screening import score_chart
from sweeps.report.charts.time_spent import time_chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.six_digits import six_digits
from sweeps.report.headline import answer
from sweeps.report.sparse.method_layers import level_gradients_chart, method_layers_charts
from sweeps.report.sparse.methods import method_charts
from sweeps.report.sparse.stability import stability_charts
from sweeps.report.sparse.tickets import accuracy_chart, all_tickets_chart, early_stop_chart
from sweeps.report.sparse.verdicts import verdicts_chart
from sweeps.report.tradeoff.charts import tradeoff_charts
from sweeps.report.trials import trial_table
from sweeps.report.trials_csv import trials_csv
from sweeps.study.record import StudyRecord, TrialRecord
from trainables.places.place import Place, write_whole

_HERE = Path(__file__).parent


def write_report(record: StudyRecord, path: Place) -> None:
    """Write the study's report: one HTML file, plotly's script within, that asks the network for nothing.

    The same record gives the same bytes. A report that stands is replaced only by a whole one.

    Raises:
        OSError: the file cannot be written.
        StoreError: the object store refuses, or is away.
    """
    write_whole(path, _render(record).encode())


def _render(record: StudyRecord) -> str:
    pages = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shares, reason = importances(record)
    drawn = _charts(record, shares, reason)
    return pages.get_template("page.html").render(
        record=record,
        facts=header.facts(record),
        tally=header.tally(record),
        asked=header.asked(record),
        answer=answer(record),
        take=reproduce.take_out(record),
        again=reproduce.again(record),
        file_name=re.sub(r"[^\w.-]+", "_", record.name),
        heads=summary.heads(record),
        rows=summary.rows(record),
        notes=[*summary.notes(record), *certainty.notes(record)],
        charts=drawn,
        figures={c.anchor: six_digits(c.figure.to_plotly_json()) for c in drawn if c.figure is not None},
        csv=_packed(trials_csv(record)),
        table=trial_table(record, shares),
        provenance=header.provenance(record),
        sweep=header.sweep_file(record),
        plotly=_plotly() if any(c.figure for c in drawn) else "",
    )


@cache
def _plotly() -> str:
    return _packed(get_plotlyjs())


def _packed(text: str) -> str:
    """Return what the page unpacks; without a time in it the same text gives the same bytes."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def charts(record: StudyRecord) -> list[Chart]:
    """Return the sections between the summary and the trials."""
    return _charts(record, *importances(record))


def _charts(record: StudyRecord, shares: dict[str, float], reason: str) -> list[Chart]:
    if record.best is not None and record.best.levels:
        return _lottery_charts(record, record.best, shares, reason)
    by_method, where = method_charts(record), method_layers_charts(record)
    optional = (replicates_chart(record), curves_chart(record), score_chart(record))
    return [
        *by_method,
        *tradeoff_charts(record),
        *where,
        *(front_charts(record) if len(record.objectives) > 1 or not by_method else []),
        *([] if by_method and record.sweep.get("method") == "grid" else [history_chart(record)]),
        *_drawn(optional),
        *importance_charts(shares, reason),
        *_drawn([parallel_chart(record, shares)]),
        *([] if where else [layers_chart(record), *_drawn([layer_figures_chart(record)])]),
        *_drawn([error_curves_chart(record), *_ending(record)]),
    ]


def _ending(record: StudyRecord) -> list[Chart | None]:
    """Return the sections of every report that say how it went."""
    return [failures_chart(record), time_chart(record)]


def _drawn(charts: Iterable[Chart | None]) -> list[Chart]:
    return [chart for chart in charts if chart is not None]


def _lottery_charts(
    record: StudyRecord, best: TrialRecord, shares: dict[str, float], reason: str
) -> list[Chart]:
    """Return a lottery's sections.

    What compares trials is left out where there is one: a lottery's levels are its study.
    """
    complete = [trial for trial in record.complete if trial.levels]
    optional = [early_stop_chart(record, best), *stability_charts(record, best), level_gradients_chart(best)]
    return [
        accuracy_chart(record, best),
        *([all_tickets_chart(record, complete)] if len(complete) > 1 else []),
        verdicts_chart(best, record.measured[0].name),
        *_drawn(optional),
        layers_chart(record),
        *(
            [*front_charts(record), history_chart(record), *importance_charts(shares, reason)]
            if len(record.trials) > 1
            else []
        ),
        *_drawn(_ending(record)),
    ]
