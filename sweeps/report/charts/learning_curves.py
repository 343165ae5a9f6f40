"""How trials improved while they were trained, and where the scheduler stopped them."""

from collections.abc import Sequence

import plotly.graph_objects as go

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.thinning import thinned, thinning_said
from sweeps.report.drawing.wording import OUTCOMES, name_of, scaled, titled
from sweeps.study.record import Outcome, StudyRecord, TrialRecord
from trainables.recipes import RECIPES

_MOST_LINES = 300
_COLORS: dict[Outcome, str] = {
    "complete": chart.TRIAL,
    "running": chart.OWN,
    "stopped_early": chart.BASELINE,
    "failed": chart.FAILED,
}


def curves_chart(record: StudyRecord) -> Chart | None:
    """Draw the first objective over the epochs of the closing training.

    None when no trial reported more than its end.
    """
    objective = record.objectives[0].name
    drawn = [t for t in record.trials if t.intermediate and t.outcome in _COLORS]
    if not any(len(t.intermediate) > 1 for t in drawn):
        return None
    unit = RECIPES[record.sweep.get("trainable", "compress")].reports.unit
    figure = chart.figure(unit.capitalize(), titled(objective))
    best = record.best
    gain, shown = record.objectives[0].gain, 0
    for outcome, color in _COLORS.items():
        group = [t for t in drawn if t.outcome == outcome and t is not best]
        lines = thinned(group, lambda t: gain(t.intermediate[max(t.intermediate)]), _MOST_LINES)
        _add_lines(figure, lines, OUTCOMES[outcome], color, objective)
        shown += len(lines)
    if best is not None and best in drawn:
        _add_lines(figure, [best], "best found", chart.BEST, objective, width=2.5)
    heights = [scaled(objective, v) for t in drawn for v in t.intermediate.values()]
    bounds = chart.opening_range(heights)
    figure.update_yaxes(range=bounds)
    epochs = [epoch for t in drawn for epoch in t.intermediate]
    chart.whole_steps(figure, min(epochs), max(epochs))
    caption = "One line a trial, as long as it was trained."
    caption += thinning_said(shown + (best in drawn), len(drawn)) + chart.outside(heights, bounds)
    return Chart("curves", f"{name_of(objective)} over {unit}", caption, figure)


def _add_lines(
    figure: go.Figure, trials: Sequence[TrialRecord], label: str, color: str, objective: str, width: float = 1
) -> None:
    """Draw all lines of a group as one trace, parted by gaps.

    Ten thousand trials stay one element of the page.
    """
    if not trials:
        return
    epochs: list[int | None] = []
    heights: list[float | None] = []
    names: list[str | None] = []
    for trial in trials:
        for epoch, value in sorted(trial.intermediate.items()):
            epochs.append(epoch)
            heights.append(scaled(objective, value))
            names.append(f"trial {trial.key}")
        epochs.append(None)
        heights.append(None)
        names.append(None)
    figure.add_scatter(
        x=epochs,
        y=heights,
        text=names,
        mode="lines+markers",
        name=label,
        opacity=1 if width > 1 else min(0.7, max(0.25, 20 / len(trials))),
        line={"color": color, "width": width},
        marker={"size": 4},
        hovertemplate="<b>%{text}</b><br>epoch %{x}: %{y:.4g}<extra></extra>",
    )
