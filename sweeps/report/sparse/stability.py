"""Whether tickets are stable to the order of the images: the error on the line between two runs of each."""

import statistics
from collections.abc import Sequence

from sweeps.report.drawing import chart, density
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.density import Point
from sweeps.report.drawing.wording import is_share, lower_name, percent, points_of, scaled
from sweeps.report.sparse.tickets import spread
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.study.winning_tickets import Level
from trainables.metric_names import on_validation

_STABLE = 2.0  # points of error (Frankle et al. 2020, section 2)
_MOST_CURVES = 6


def stability_charts(record: StudyRecord, trial: TrialRecord) -> list[Chart]:
    """Draw linear mode connectivity; nothing where it was not measured.

    Frankle, Dziugaite, Roy & Carbin, ICML 2020, figures 2 and 5.
    """
    measured = [level for level in trial.levels if "stability" in level]
    if not measured:
        return []
    metric = record.measured[0].name
    return [_barriers(measured, spread(trial), metric), _curves(measured, metric)]


def _barriers(measured: Sequence[Level], how_spread: str, metric: str) -> Chart:
    barriers = [
        Point(level["density"], tuple(scaled(metric, one["barrier"]) for one in level["stability"]))
        for level in measured
    ]
    drawn = density.figure(f"Error barrier{',' if points_of(metric) else ''}{points_of(metric)}", height=320)
    density.line(drawn, barriers, "error barrier", chart.BEST, unit=points_of(metric))
    density.axis(drawn, [p.density for p in barriers])
    drawn.update_layout(showlegend=False)
    if is_share(metric):
        chart.level(drawn, _STABLE, "stable below 2 points", chart.MUTED)
    caption = (
        "How far the error rises on the straight line between two runs of a level "
        "that saw the images in different orders, "
        f"above the mean of its two ends. {how_spread}"
    )
    return Chart("stability", "Stability to the order of the images", caption, drawn)


def _curves(measured: Sequence[Level], metric: str) -> Chart:
    title = (
        "Validation error, %"
        if metric == on_validation("accuracy")
        else f"Validation error by {lower_name(metric)}"
    )
    drawn = chart.figure("Way from the one run to the other", title, height=360)
    shown = measured[:: -(-len(measured) // _MOST_CURVES)]
    for level, color in zip(shown, chart.ramp(len(shown)), strict=True):
        errors = [
            scaled(metric, statistics.fmean(at))
            for at in zip(*(one["errors"] for one in level["stability"]), strict=True)
        ]
        kept = percent(level["density"])
        drawn.add_scatter(
            x=[point / (len(errors) - 1) for point in range(len(errors))],
            y=errors,
            mode="lines",
            name=f"{kept} %",
            line={"color": color, "width": 2},
            hovertemplate=f"{kept} % of the weights<br>"
            f"%{{y:.2f}}{' %' if is_share(metric) else ''}<extra></extra>",
        )
    drawn.update_yaxes(rangemode="tozero")
    return Chart(
        "stability-curves",
        "Error between two runs",
        "Means over the replicates; the legend gives the weights kept.",
        drawn,
    )
