"""The lottery-ticket papers' figures.

Quality and early stopping against density, for the tickets and what they must beat.
"""

from collections.abc import Sequence

import plotly.graph_objects as go

from sweeps.report.drawing import chart, density
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.density import Point
from sweeps.report.drawing.wording import method_of, name_of, scaled, titled, unit_of, with_unit
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.study.winning_tickets import TICKET, Level

TRACKS = {
    TICKET: ("ticket", chart.BEST),
    "reinit": ("re-initialised", chart.SERIES[1]),
    "random": ("random mask", chart.BASELINE),
    "transfer": ("transferred", chart.OWN),
}
"""Name and colour of what a level trains; the second order of the images is for stability alone."""


def accuracy_chart(record: StudyRecord, trial: TrialRecord) -> Chart:
    """Draw the task's primary metric over density, one line a track (Frankle & Carbin 2019, figure 4)."""
    metric = record.measured[0].name
    drawn = density.figure(titled(metric), height=440)
    shown = _add_tracks(drawn, trial.levels, metric, scale=scaled(metric, 1), unit=_unit(metric))
    dense = trial.levels[0]["tracks"][TICKET][metric]
    drawn_points = [
        point for name in shown for point in points(trial.levels, name, metric, scaled(metric, 1))
    ]
    bounds = chart.opening_range(
        [value for point in drawn_points for value in point.values], must_show=[scaled(metric, dense)]
    )
    drawn.update_yaxes(range=bounds)
    chart.level(drawn, scaled(metric, dense), f"dense {with_unit(metric, dense)}", chart.DENSE, below=True)
    caption = (
        _of(record, trial) + spread(trial) + chart.outside([point.mean for point in drawn_points], bounds)
    )
    if "transfer" in shown:
        caption += (
            " The transferred tickets were trained elsewhere: their dense network is their own first point."
        )
    return Chart(
        "tickets",
        f"{name_of(metric).removeprefix('Validation ').capitalize()} against weights kept",
        caption,
        drawn,
    )


def early_stop_chart(record: StudyRecord, trial: TrialRecord) -> Chart | None:
    """Draw the iteration of the least validation loss over density: how fast a ticket learns.

    Frankle & Carbin 2019, figure 4.
    """
    if not all("early_stop/step" in level["tracks"][TICKET] for level in trial.levels):
        return None
    drawn = density.figure("Optimiser steps", height=320)
    _add_tracks(drawn, trial.levels, "early_stop/step", digits=0)
    drawn.update_yaxes(rangemode="tozero")
    caption = (
        _of(record, trial)
        + "The optimiser step at which the validation loss was least, looked at after every epoch. "
        + spread(trial)
    )
    return Chart("early-stop", "Early-stopping step against weights kept", caption, drawn)


def all_tickets_chart(record: StudyRecord, trials: Sequence[TrialRecord]) -> Chart:
    """Draw the tickets of all trials, each trial a line.

    They have one colour for each value of what tells them apart.
    """
    metric = record.measured[0].name
    drawn = density.figure(titled(metric), height=440)
    separating = _separating(trials)
    colors: dict[str, str] = {}
    means: list[float] = []
    heights: list[float] = []
    for trial in trials:
        label = ", ".join(
            f"{name.rpartition('.')[2]} {trial.params[name]}" for name in separating
        ) or method_of(trial)
        color = colors.setdefault(label, chart.SERIES[len(colors) % len(chart.SERIES)])
        found = points(trial.levels, TICKET, metric, scaled(metric, 1))
        means += [point.mean for point in found]
        heights += [value for point in found for value in point.values]
        density.line(drawn, found, label, color, unit=_unit(metric))
    density.axis(drawn, [level["density"] for trial in trials for level in trial.levels])
    bounds = chart.opening_range(heights)
    drawn.update_yaxes(range=bounds)
    caption = "One line a trial. " + spread(trials[0]) + chart.outside(means, bounds)
    return Chart("all-tickets", "Tickets of all trials", caption, drawn)


def points(levels: Sequence[Level], track: str, metric: str, scale: float = 1) -> list[Point]:
    """Return a track's values of every level that has them, one a replicate."""
    return [
        Point(level["density"], tuple(scale * one["tracks"][track][metric] for one in level["replicates"]))
        for level in levels
        if metric
        in level["tracks"].get(track, {})  # a ticket that was transferred may be measured by something else
    ]


def _unit(metric: str) -> str:
    """Return what follows a value of the metric."""
    return f" {unit_of(metric)}" if unit_of(metric) else ""


def spread(trial: TrialRecord) -> str:
    """Say how to read the bands, or that there are none."""
    return (
        density.SPREAD
        if len(trial.levels[0]["replicates"]) > 1
        else "One replicate: nothing is known of the spread."
    )


def _add_tracks(
    drawn: go.Figure,
    levels: Sequence[Level],
    metric: str,
    *,
    scale: float = 1,
    unit: str = "",
    digits: int = 2,
) -> list[str]:
    shown = [name for name in TRACKS if points(levels, name, metric)]
    for name in reversed(shown):  # the ticket's line lies on top
        label, color = TRACKS[name]
        density.line(drawn, points(levels, name, metric, scale), label, color, unit=unit, digits=digits)
    drawn.update_layout(legend_traceorder="reversed")
    density.axis(drawn, [level["density"] for level in levels])
    return shown


def _of(record: StudyRecord, trial: TrialRecord) -> str:
    return f"The best trial, {method_of(trial)}. " if len(record.complete) > 1 else ""


def _separating(trials: Sequence[TrialRecord]) -> list[str]:
    """Return the parameters whose values differ.

    With more trials than colours only the one with the fewest values.
    """
    values = {name: {str(t.params.get(name)) for t in trials} for t in trials for name in t.params}
    differing = [name for name, found in values.items() if len(found) > 1]
    if len(trials) <= len(chart.SERIES) or not differing:
        return differing
    return [min(differing, key=lambda name: len(values[name]))]
