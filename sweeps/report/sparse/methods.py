"""The figures of the papers on pruning at initialisation.

Accuracy against density by method, beside the controls.
"""

from collections.abc import Sequence

import plotly.graph_objects as go

from sweeps.report.drawing import chart, density
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import (
    name_of,
    quality_of,
    scaled,
    titled,
    unit_of,
    with_unit,
)
from sweeps.report.sparse.method_curves import (
    CONTROL_NAMES,
    CONTROLS,
    MethodCurve,
    colors,
    looks,
    method_curves,
)
from sweeps.report.sparse.method_table import method_table
from sweeps.study.record import StudyRecord
from trainables.metric_names import DENSITY


def method_charts(record: StudyRecord) -> list[Chart]:
    """Draw quality over density by method, the same beside the controls, and both as a table.

    Nothing where all keep equally many weights.
    """
    found = method_curves(record)
    if len({t.metrics[DENSITY] for curve in found for t in curve.trials}) < 2:
        return []
    plain = [curve for curve in found if curve.control == "none"]
    charts = [_methods(record, plain)] if plain else []
    if len(plain) < len(found):
        charts.append(_controls(record, found))
    if any(len(curve.trials) > 1 for curve in found) and record.sweep.get("method") == "grid":
        charts.append(method_table(record, found))
    return charts


def _methods(record: StudyRecord, found: Sequence[MethodCurve]) -> Chart:
    quality = quality_of(record)
    drawn = density.figure(titled(quality), height=440)
    means: list[float] = []
    on_a_grid = record.sweep.get("method") == "grid"
    one_method = len({curve.method for curve in found}) == 1
    for curve, (color, dash) in zip(found, looks(found), strict=True):
        points = curve.points(record)
        means += [p.mean for p in points]
        density.line(
            drawn,
            points,
            curve.rest if one_method and curve.rest else curve.label,
            color,
            unit=_unit(record),
            dash=dash,
            mode="lines+markers" if on_a_grid else "markers",
        )
    outliers = _frame(record, drawn, found, means)
    how = (
        density.SPREAD
        if on_a_grid
        else "Each point is a trial; trials differ in more than what the axis shows."
    )
    return Chart("methods", f"{name_of(quality)} against weights kept, by method", how + outliers, drawn)


def _controls(record: StudyRecord, found: Sequence[MethodCurve]) -> Chart:
    """Draw the methods beside their controls.

    Colours are methods, dashes controls: the legend names each once.
    """
    quality = quality_of(record)
    drawn = density.figure(titled(quality), height=480)
    by_method, means = colors(found), []
    for curve in found:
        points = curve.points(record)
        means += [p.mean for p in points]
        density.line(
            drawn,
            points,
            curve.label,
            by_method[curve.method],
            unit=_unit(record),
            dash=CONTROLS[curve.control],
            band=False,
            group=curve.method,
        )
    for method, color in by_method.items():
        _legend_entry(drawn, method, color, "solid")
    for control in (name for name in CONTROLS if name != "none" and any(f.control == name for f in found)):
        _legend_entry(drawn, CONTROL_NAMES[control], chart.MUTED, CONTROLS[control])
    outliers = _frame(record, drawn, found, means)
    caption = (
        "Means over the replicates. A method whose line lies no higher than its controls' "
        "chose how many weights each layer keeps, "
        "not which ones (Frankle et al., ICLR 2021)."
    )
    return Chart("controls", "The same beside the controls", caption + outliers, drawn)


def _legend_entry(drawn: go.Figure, name: str, color: str, dash: str) -> None:
    drawn.add_scatter(
        x=[None],
        y=[None],
        mode="lines",
        name=chart.text(name),
        legendgroup=name,
        line={"color": color, "width": 2, "dash": dash},
    )


def _frame(
    record: StudyRecord, drawn: go.Figure, found: Sequence[MethodCurve], means: Sequence[float]
) -> str:
    """Draw axes and the dense line, and return the sentence on what lies outside."""
    quality = quality_of(record)
    dense = record.dense.get(quality)
    bounds = chart.opening_range(means, must_show=[scaled(quality, dense)] if dense is not None else [])
    drawn.update_yaxes(range=bounds)
    density.axis(drawn, [t.metrics[DENSITY] for curve in found for t in curve.trials])
    if dense is not None:
        chart.level(drawn, scaled(quality, dense), f"dense {with_unit(quality, dense)}", chart.DENSE)
    return chart.outside(means, bounds)


def _unit(record: StudyRecord) -> str:
    """Return what follows a value of the study's quality."""
    unit = unit_of(quality_of(record))
    return f" {unit}" if unit else ""
