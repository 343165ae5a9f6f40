"""The sweep's constraints on a chart of networks: lines that they must not cross."""

import plotly.graph_objects as go

from sweeps.report.drawing import chart
from sweeps.report.drawing.wording import scaled, with_unit
from sweeps.study.record import StudyRecord
from sweeps.study.selection.limits import Limit


def bounds_on(record: StudyRecord, metric: str) -> dict[Limit, float]:
    """Return the constraints on a metric with their bounds, those that are the same for all networks.

    Where network or training are searched, every trial has a dense network of its own.
    """
    finished = (*record.complete, *(t for t in record.baselines if t.outcome == "complete"))
    bounds = {
        limit: {bound for trial in finished if (bound := limit.bound(trial.metrics)) is not None}
        for limit in record.limits
        if limit.metric == metric
    }
    return {limit: found.pop() for limit, found in bounds.items() if len(found) == 1}


def draw_bounds(figure: go.Figure, record: StudyRecord, *, x: str, y: str) -> None:
    """Draw the constraints on the metrics of both axes, each with a label."""
    for limit, bound in bounds_on(record, y).items():
        chart.level(figure, scaled(y, bound), _label(limit, bound), chart.FAILED, below=not limit.is_most)
    for limit, bound in bounds_on(record, x).items():
        chart.upright(figure, scaled(x, bound), _label(limit, bound), chart.FAILED)


def _label(limit: Limit, bound: float) -> str:
    return f"at {'most' if limit.is_most else 'least'} {with_unit(limit.metric, bound)}"
