"""How the study got there: each trial's value and the best so far."""

from collections.abc import Sequence

import plotly.graph_objects as go

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.thinning import thinned, thinning_said
from sweeps.report.drawing.wording import OUTCOMES, name_of, scaled, titled, value_of, with_unit
from sweeps.study.record import Objective, StudyRecord, TrialRecord


def history_chart(record: StudyRecord) -> Chart:
    """Draw the first objective over trials, with the method's own answer and the dense network as lines."""
    objective = record.objectives[0]
    title = f"{name_of(objective.name)} over trials"
    points = [(t, v) for t in record.complete if (v := value_of(record, t, objective.name)) is not None]
    if not points:
        return Chart("history", title, "Nothing to draw yet: no trial is complete.")

    figure = chart.figure("Trial", titled(objective.name))
    heights = [scaled(objective.name, v) for _, v in points]
    drawn = thinned(points, lambda point: objective.gain(point[1]))
    hover = [
        f"<b>trial {t.key}</b><br>{chart.text(name_of(objective.name))} {with_unit(objective.name, v)}"
        for t, v in drawn
    ]
    figure.add_scatter(
        x=[int(t.key) for t, _ in drawn],
        y=[scaled(objective.name, v) for _, v in drawn],
        mode="markers",
        name="trials",
        marker={"color": chart.TRIAL, "size": 8, "line": {"color": "#ffffff", "width": 1}},
        hovertext=hover,
        hoverinfo="text",
    )
    steps = _best_so_far(record, objective, points)
    figure.add_scatter(
        x=[number for number, _ in steps],
        y=[scaled(objective.name, v) for _, v in steps],
        mode="lines",
        name="best so far",
        line={"color": chart.BEST, "width": 2, "shape": "hv"},
        hoverinfo="skip",
    )

    own = value_of(record, record.own, objective.name) if record.own else None
    dense = record.dense.get(objective.name)
    levels = [scaled(objective.name, v) for v in (own, dense) if v is not None]
    bounds = chart.opening_range(heights, must_show=levels)
    figure.update_yaxes(range=bounds)
    chart.whole_steps(figure, 0, max(int(t.key) for t in record.trials))
    lost = [t for t in record.trials if t.outcome in ("failed", "infeasible", "stopped_early")]
    _mark_without_value(figure, thinned(lost, lambda t: int(t.key)), bounds[0])
    if dense is not None:
        chart.level(
            figure, scaled(objective.name, dense), f"dense {with_unit(objective.name, dense)}", chart.DENSE
        )
    if own is not None:
        chart.level(
            figure,
            scaled(objective.name, own),
            f"own answer {with_unit(objective.name, own)}",
            chart.OWN,
            below=True,
        )
    caption = "Points are complete trials, the line the best found so far"
    caption += " of those that keep every constraint." if record.limits else "."
    if lost:
        caption += " Crosses on the floor are trials that ended without a value."
    caption += thinning_said(len(drawn), len(points)) + chart.outside(heights, bounds)
    return Chart("history", title, caption, figure)


def _best_so_far(
    record: StudyRecord, objective: Objective, points: Sequence[tuple[TrialRecord, float]]
) -> list[tuple[int, float]]:
    """Return the trials that were better than all before them, and how good the best is at the end."""
    steps: list[tuple[int, float]] = []
    last = 0
    for trial, value in points:
        if not record.missed(trial):
            last = int(trial.key)
            if not steps or objective.gain(value) > objective.gain(steps[-1][1]):
                steps.append((last, value))
    return [*steps, (last, steps[-1][1])] if steps and steps[-1][0] < last else steps


def _mark_without_value(figure: go.Figure, lost: list[TrialRecord], floor: float) -> None:
    if not lost:
        return
    hover = [
        f"<b>trial {t.key}</b><br>{OUTCOMES[t.outcome]}"
        + (f": {chart.text(t.reason, 80)}" if t.reason else "")
        for t in lost
    ]
    figure.add_scatter(
        x=[int(t.key) for t in lost],
        y=[floor] * len(lost),
        mode="markers",
        name="without a value",
        marker={
            "color": chart.FAILED,
            "symbol": "x-thin",
            "size": 8,
            "line": {"color": chart.FAILED, "width": 1.5},
        },
        cliponaxis=False,
        hovertext=hover,
        hoverinfo="text",
    )
