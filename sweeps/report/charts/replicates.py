"""How far the replicates of a network lie apart."""

import statistics
from collections.abc import Sequence

import plotly.graph_objects as go

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import (
    compact,
    method_of,
    name_of,
    quality_of,
    scaled,
    titled,
    with_unit,
)
from sweeps.study.record import BASELINE, StudyRecord, TrialRecord

_MOST = 24


def replicates_chart(record: StudyRecord) -> Chart | None:
    """Draw every replicate of the best networks and the baselines as a point, the best in the mean on top.

    None where networks have one replicate.
    """
    quality = quality_of(record)
    ordered = _ordered(record, quality)
    if not ordered:
        return None
    bounds = _opening(record, ordered, quality)
    near = [t for t in ordered if any(bounds[0] <= v <= bounds[1] for v in _shown(t, quality))]
    drawn = near[:_MOST]
    figure = chart.figure(titled(quality), "", height=96 + 22 * len(drawn))
    for label, color, symbol, keys in _kinds(record):
        rows = [(row, trial) for row, trial in enumerate(drawn) if trial.key in keys]
        if rows:
            _add(figure, rows, quality, (label, color, symbol))
    figure.add_scatter(
        x=[statistics.fmean(_shown(t, quality)) for t in drawn],
        y=list(range(len(drawn))),
        mode="markers",
        name="mean",
        marker={"color": chart.INK, "symbol": "line-ns-open", "size": 14, "line": {"width": 2}},
        hoverinfo="skip",
    )
    figure.update_yaxes(
        tickvals=list(range(len(drawn))),
        ticktext=[chart.text(method_of(t), 24) for t in drawn],
        range=[len(drawn) - 0.4, -0.6],
        title_text=None,
    )
    figure.update_xaxes(range=bounds)
    dense = record.dense.get(quality)
    if dense is not None:
        chart.upright(figure, scaled(quality, dense), f"dense {with_unit(quality, dense)}", chart.DENSE)
    caption = "Every point is a network made from another seed, the bar their mean."
    if len(drawn) < len(near):
        caption += f" The best {len(drawn)} of {compact(len(near))} networks are shown."
    if far := [method_of(t) for t in ordered if t not in near]:
        caption += f" Far off, and not drawn: {', '.join(far)}."
    return Chart("replicates", f"{name_of(quality)} of every replicate", caption, figure)


def _ordered(record: StudyRecord, quality: str) -> list[TrialRecord]:
    """Return the networks of several replicates, the best in the mean first."""
    goal = next(o for o in (*record.objectives, *record.measured) if o.name == quality)
    found = [t for t in (*record.complete, *record.baselines) if len(_values(t, quality)) > 1]
    return sorted(found, key=lambda t: -goal.gain(statistics.fmean(v for _, v in _values(t, quality))))


def _opening(record: StudyRecord, ordered: Sequence[TrialRecord], quality: str) -> tuple[float, float]:
    """Return the range that opens: the trials', the dense network, and baselines not far from them."""
    dense = record.dense.get(quality)
    must_show = [] if dense is None else [scaled(quality, dense)]
    trials = [v for t in ordered if not t.key.startswith(BASELINE) for v in _shown(t, quality)]
    others = [v for t in ordered if t.key.startswith(BASELINE) for v in _shown(t, quality)]
    if not trials:
        return chart.opening_range(others, must_show=must_show)
    return chart.widened(chart.opening_range(trials, must_show=must_show), others)


def _kinds(record: StudyRecord) -> list[tuple[str, str, str, set[str]]]:
    """Return label, colour, symbol and keys of what is told apart."""
    best, own = ({t.key} if t else set() for t in (record.best, record.own))
    baselines = {t.key for t in record.baselines} - own
    return [
        ("trials", chart.TRIAL, "circle", {t.key for t in record.complete} - best - own),
        ("baselines", chart.BASELINE, "square", baselines),
        ("method's own answer", chart.OWN, "diamond", own - best),
        ("best found", chart.BEST, "circle", best),
    ]


def _add(
    figure: go.Figure, rows: Sequence[tuple[int, TrialRecord]], quality: str, style: tuple[str, str, str]
) -> None:
    label, color, symbol = style
    points = [(row, trial, *one) for row, trial in rows for one in _values(trial, quality)]
    figure.add_scatter(
        x=[scaled(quality, value) for *_, value in points],
        y=[row for row, *_ in points],
        mode="markers",
        name=label,
        marker={"color": color, "symbol": symbol, "size": 8, "opacity": 0.8},
        hovertext=[
            f"<b>{chart.text(method_of(trial))}</b>, seed {seed}<br>{with_unit(quality, value)}"
            for _, trial, seed, value in points
        ],
        hoverinfo="text",
    )


def _shown(trial: TrialRecord, metric: str) -> list[float]:
    """Return a trial's values of every replicate in the unit shown."""
    return [scaled(metric, value) for _, value in _values(trial, metric)]


def _values(trial: TrialRecord, metric: str) -> list[tuple[int, float]]:
    """Return a trial's replicates that tell the metric: seed and value."""
    return [(one["seed"], one["metrics"][metric]) for one in trial.replicates if metric in one["metrics"]]
