"""The Pareto front: quality against what the network still costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.limits import bounds_on, draw_bounds
from sweeps.report.drawing.thinning import thinned, thinning_said
from sweeps.report.drawing.wording import (
    lower_name,
    method_of,
    name_of,
    quality_of,
    scaled,
    titled,
    value_of,
    with_unit,
)
from sweeps.study.record import BASELINE, StudyRecord, TrialRecord
from trainables.metric_names import DENSITY, FLOPS_KEPT, LATENCY_KEPT, LATENCY_MS, PARAMS_KEPT

_SYMBOLS = ("square", "triangle-up", "triangle-down", "cross", "hexagon", "star")


@dataclass(frozen=True)
class _Axes:
    quality: str
    cost: str


@dataclass(frozen=True)
class _Point:
    """One network on the chart, in the units shown; ``spread`` is the standard deviation over replicates.

    ``told`` are quality and cost in their own units.
    """

    trial: TrialRecord
    x: float
    y: float
    spread: float
    told: tuple[tuple[str, float], ...]

    @property
    def hover(self) -> str:
        """Return what stands under the pointer: made of those alone that are drawn."""
        lines = [f"{chart.text(name_of(metric))} {with_unit(metric, value)}" for metric, value in self.told]
        return "<br>".join([f"<b>{chart.text(method_of(self.trial))}</b>", *lines])


def front_charts(record: StudyRecord) -> list[Chart]:
    """Draw quality against parameters kept, then against every further objective and constraint.

    At a fixed budget all trials keep as many parameters and would stand in one column: multiply-adds and the
    measured time, which tell them apart, are drawn instead.
    """
    quality = quality_of(record)
    further = (*(o.name for o in record.objectives), *(limit.metric for limit in record.limits))
    telling = [cost for cost in (FLOPS_KEPT, _time(record)) if cost and _differ(record, cost)]
    in_one_column = bool(telling) and not _differ(record, PARAMS_KEPT)
    costs = dict.fromkeys([*(telling if in_one_column else [PARAMS_KEPT]), *further])
    costs.pop(quality, None)
    pairs = len(costs) - len(costs) % 2
    return [_front_chart(record, _Axes(quality, c), half=n < pairs) for n, c in enumerate(costs)]


def _time(record: StudyRecord) -> str:
    """Return the metric that tells how fast a network is; nothing where masks alone change none."""
    told = {name for t in record.complete if DENSITY not in t.metrics for name in t.metrics}
    return next((name for name in (LATENCY_KEPT, LATENCY_MS) if name in told), "")


def _differ(record: StudyRecord, cost: str) -> bool:
    """Tell whether the trials differ in a cost by more than a fiftieth."""
    told = [v for t in record.complete if (v := value_of(record, t, cost)) is not None]
    return bool(told) and max(told) - min(told) > 0.02 * max(told)


def _front_chart(record: StudyRecord, axes: _Axes, *, half: bool) -> Chart:
    anchor, title = f"front-{axes.cost}", f"{name_of(axes.quality)} against {lower_name(axes.cost)}"
    finished = (*record.complete, *(t for t in record.baselines if t.outcome == "complete"))
    points = {t.key: p for t in finished if (p := _point(record, t, axes))}
    if not points:
        reason = (
            "Nothing to draw yet: no finished network reports both "
            f"{lower_name(axes.quality)} and {lower_name(axes.cost)}."
        )
        return Chart(anchor, title, reason)

    figure = chart.figure(titled(axes.cost), titled(axes.quality), height=420)
    is_objective = {axes.quality, axes.cost} <= {o.name for o in record.objectives}
    if is_objective:
        ordered = sorted((points[t.key] for t in record.front if t.key in points), key=lambda p: p.x)
        line = {"color": chart.BEST, "width": 1.5}
        # in a plane a front of three objectives has no order that a line could follow
        mode = "lines" if len(record.objectives) == 2 else "markers"
        figure.add_scatter(
            x=[p.x for p in ordered],
            y=[p.y for p in ordered],
            mode=mode,
            name="Pareto front",
            line=line,
            marker={"color": chart.BEST, "symbol": "circle-open", "size": 13, "line": line},
            hoverinfo="skip",
        )
    drawn = _add_networks(figure, record, points)

    dense = record.dense.get(axes.quality)
    levels = [*([] if dense is None else [dense]), *bounds_on(record, axes.quality).values()]
    bounds = _opening(record, points, [scaled(axes.quality, level) for level in levels])
    figure.update_yaxes(range=bounds)
    shown = [p.x for p in points.values() if bounds[0] <= p.y <= bounds[1]]
    limits = [scaled(axes.cost, bound) for bound in bounds_on(record, axes.cost).values()]
    left, right = chart.opening_range(shown or [p.x for p in points.values()], must_show=limits)
    figure.update_xaxes(range=(left, right))
    draw_bounds(figure, record, x=axes.cost, y=axes.quality)
    if dense is not None:
        chart.level(
            figure, scaled(axes.quality, dense), f"dense {with_unit(axes.quality, dense)}", chart.DENSE
        )
    out = {k: p for k, p in points.items() if not (left <= p.x <= right and bounds[0] <= p.y <= bounds[1])}
    caption = _caption(list(points.values()), axes, record, is_objective=is_objective)
    caption += thinning_said(drawn, len(points)) + _left_out(out, len(points))
    return Chart(anchor, title, caption, figure, half=half)


def _opening(
    record: StudyRecord, points: dict[str, _Point], must_show: Sequence[float]
) -> tuple[float, float]:
    """Return the range of quality that opens: the trials', and baselines that are not far from them."""
    trials = [points[t.key].y for t in record.complete if t.key in points]
    others = [points[t.key].y for t in record.baselines if t.key in points]
    if not trials:
        return chart.opening_range(others, must_show=must_show)
    return chart.widened(chart.opening_range(trials, must_show=must_show), others)


def _left_out(out: dict[str, _Point], amount: int) -> str:
    if not out:
        return ""
    baselines = [method_of(p.trial) for key, p in out.items() if key.startswith(BASELINE)]
    named = f", the baselines {', '.join(baselines)} among them" if baselines else ""
    return f" {len(out)} of {amount} points lie outside the range shown{named}."


def _point(record: StudyRecord, trial: TrialRecord, axes: _Axes) -> _Point | None:
    x, y = value_of(record, trial, axes.cost), value_of(record, trial, axes.quality)
    if x is None or y is None:
        return None
    spread = trial.metrics.get(f"{axes.quality}_std", 0.0) if len(trial.replicates) > 1 else 0.0
    told = ((axes.quality, y), (axes.cost, x))
    return _Point(trial, scaled(axes.cost, x), scaled(axes.quality, y), scaled(axes.quality, spread), told)


def _add_networks(figure: go.Figure, record: StudyRecord, points: dict[str, _Point]) -> int:
    """Draw the networks, of very many trials some; return how many."""
    plain = points.keys() - {t.key for t in (record.best, record.own) if t is not None}
    all_others = [t for t in record.complete if t.key in plain]
    front, gain = {t.key for t in record.front}, record.objectives[0].gain
    others = thinned(all_others, lambda t: math.inf if t.key in front else gain((t.values or (0.0,))[0]))
    kept = [points[t.key] for t in others if not record.missed(t)]
    missing = [points[t.key] for t in others if record.missed(t)]
    _add(figure, kept, "trials", chart.TRIAL, size=8)
    _add(figure, missing, "trials that miss a constraint", chart.TRIAL, symbol="circle-open", size=8)
    marked = [points[t.key] for t in record.baselines if t.key in plain]
    for place, point in enumerate(marked):
        symbol = _SYMBOLS[place % len(_SYMBOLS)] + ("-open" if record.missed(point.trial) else "")
        _add(figure, [point], method_of(point.trial), chart.BASELINE, symbol=symbol)
    own, best = (points.get(t.key) if t is not None else None for t in (record.own, record.best))
    if own is not None and own != best:
        symbol = "diamond-open" if record.missed(own.trial) else "diamond"
        _add(figure, [own], "method's own answer", chart.OWN, symbol=symbol)
    if best is not None:
        _add(
            figure,
            [best],
            "best found, the method's own answer" if own == best else "best found",
            chart.BEST,
            size=12,
        )
    return len(points) - len(all_others) + len(others)


def _add(
    figure: go.Figure,
    points: Sequence[_Point],
    label: str,
    color: str,
    *,
    symbol: str = "circle",
    size: int = 11,
) -> None:
    if not points:
        return
    spreads = [p.spread for p in points]
    figure.add_scatter(
        x=[p.x for p in points],
        y=[p.y for p in points],
        mode="markers",
        name=chart.text(label),
        marker={
            "color": color,
            "symbol": symbol,
            "size": size,
            "opacity": 0.85,
            "line": {"color": color if symbol.endswith("-open") else "#ffffff", "width": 1},
        },
        error_y={"array": spreads, "color": color, "thickness": 1, "width": 3, "visible": any(spreads)},
        hovertext=[p.hover for p in points],
        hoverinfo="text",
    )


def _caption(points: Sequence[_Point], axes: _Axes, record: StudyRecord, *, is_objective: bool) -> str:
    dense = "; the dashed line is the uncompressed network" if axes.quality in record.dense else ""
    shown = f"Every complete trial is a point{dense}."
    if any(p.spread for p in points):
        shown += " Bars span one standard deviation over replicates."
    if record.limits:
        shown += f" Hollow ones miss a constraint: {', '.join(limit.name for limit in record.limits)}."
    if is_objective:
        marked = "The line joins" if len(record.objectives) == 2 else "Rings are around"
        shown += f" {marked} the trials that no other beats in every objective."
    return shown
