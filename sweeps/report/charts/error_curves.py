"""What the layers were chosen by: a small picture of each layer's error curve, with the points chosen."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import compact, method_of, percent
from sweeps.study.record import StudyRecord, TrialRecord

_COLUMNS = 4
Curve = Sequence[tuple[float, float]]


def error_curves_chart(record: StudyRecord) -> Chart | None:
    """Draw each layer's error over the share of its weights kept, and what own answer and best have there.

    None where no method of the study chose by such curves.
    """
    shown = [trial for trial in (record.own, record.best) if trial is not None and trial.curves]
    if not shown:
        return None
    curves = shown[-1].curves
    rows = math.ceil(len(curves) / _COLUMNS)
    figure = make_subplots(
        rows,
        _COLUMNS,
        subplot_titles=[chart.text(name, 26) for name in curves],
        vertical_spacing=0.35 / rows,
        horizontal_spacing=0.06,
    )
    legend = {"orientation": "h", "x": 0, "y": 1.0 + 0.25 / rows, "yanchor": "bottom"}
    chart.style(
        figure, 90 + 150 * rows, showlegend=True, legend=legend, margin={"l": 40, "r": 16, "t": 60, "b": 24}
    )
    figure.update_annotations(font={"size": 11, "color": chart.MUTED})
    for place, (name, curve) in enumerate(curves.items()):
        at = {"row": place // _COLUMNS + 1, "col": place % _COLUMNS + 1}
        _add_curve(figure, name, curve, at, is_first=place == 0)
        for trial in shown:
            _add_choice(figure, record, trial, name, curve, at, is_first=place == 0)
    figure.update_xaxes(gridcolor=chart.RULE, tickfont={"size": 9, "color": chart.MUTED}, range=[0, 104])
    figure.update_yaxes(
        gridcolor=chart.RULE,
        tickfont={"size": 9, "color": chart.MUTED},
        rangemode="tozero",
        nticks=4,
        exponentformat="power",
    )
    caption = (
        "Each picture is a layer: its error over the share of its weights kept, in per cent, as the "
        "calibration images tell it. Points are what was chosen; a scale of the layer's is not drawn."
    )
    return Chart("error-curves", "What the layers were chosen by", caption, figure)


def _add_curve(figure: go.Figure, name: str, curve: Curve, at: dict[str, int], is_first: bool) -> None:
    figure.add_scatter(
        x=[100 * share for share, _ in curve],
        y=[error for _, error in curve],
        mode="lines",
        name="error",
        line={"color": chart.TRIAL, "width": 1.5},
        showlegend=is_first,
        hovertext=[f"<b>{chart.text(name)}</b><br>{_told(*point)}" for point in curve],
        hoverinfo="text",
        **at,
    )


def _add_choice(
    figure: go.Figure,
    record: StudyRecord,
    trial: TrialRecord,
    name: str,
    curve: Curve,
    at: dict[str, int],
    is_first: bool,
) -> None:
    layer = trial.layers.get(name)
    share = layer["params"] / layer["dense_params"] if layer else 1.0
    error = layer["error"] if layer else curve[-1][1]
    is_own = record.own is not None and trial.key == record.own.key
    label = "method's own answer" if is_own else f"best found ({method_of(trial)})"
    figure.add_scatter(
        x=[100 * share],
        y=[error],
        mode="markers",
        name=chart.text(label),
        marker={
            "color": chart.OWN if is_own else chart.BEST,
            "symbol": "diamond" if is_own else "circle",
            "size": 9,
            "line": {"color": "#ffffff", "width": 1},
        },
        legendgroup=label,
        showlegend=is_first,
        hovertext=[f"<b>{chart.text(name)}</b>, {chart.text(label)}<br>{_told(share, error)}"],
        hoverinfo="text",
        **at,
    )


def _told(share: float, error: float) -> str:
    return f"{percent(share)} kept, error {compact(error)}"
