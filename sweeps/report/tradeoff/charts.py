"""Quality against compression and speed-up, as the reviews of the field ask for it.

Blalock et al., MLSys 2020, arXiv 2003.03033, section 6: compression and theoretical speed-up, raw values and
changes, several operating points (2, 4, 8, 16, 32), a random baseline, means and spreads.
"""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import (
    difference,
    is_share,
    name_of,
    quality_of,
    scaled,
    titled,
    unit_of,
    values_of,
    with_unit,
)
from sweeps.report.tradeoff.curves import Gain, Tradeoff, gains, mean, on_a_grid, tradeoffs
from sweeps.report.tradeoff.table import tradeoff_table
from sweeps.report.tradeoff.within import within_table
from sweeps.study.record import StudyRecord, TrialRecord

_HEADS: dict[Gain, tuple[str, str]] = {
    "compression": ("Compression", "Parameters of the dense network over those of the compressed one."),
    "theoretical speed-up": (
        "Theoretical speed-up",
        "Multiply-adds of the dense network over those of the compressed one.",
    ),
    "measured speed-up": (
        "Measured speed-up",
        "Time of the dense network over that of the compressed one, on the machine and beside the work that "
        "ran the trials.",
    ),
}
_DASHES = ("solid", "dash", "dot")


def tradeoff_charts(record: StudyRecord) -> list[Chart]:
    """Draw quality over compression, theoretical and measured speed-up, and tabulate it by budget.

    Nothing where all trials have one budget.
    """
    found = tradeoffs(record)
    if not found:
        return []
    told = {gain for curve in found for trial in curve.trials for gain in gains(record, trial)}
    tables = [tradeoff_table(record, found)] if on_a_grid(record) else []
    if tables and is_share(quality_of(record)) and quality_of(record) in record.dense:
        tables.append(within_table(record, found))
    return [*(_drawn(record, found, gain) for gain in _HEADS if gain in told), *tables]


def _drawn(record: StudyRecord, found: Sequence[Tradeoff], gain: Gain) -> Chart:
    quality, (head, means) = quality_of(record), _HEADS[gain]
    drawn = chart.figure(f"{head}, times", titled(quality), 440)
    heights: list[float] = []
    for place, curve in enumerate(found):
        points = [(gains(record, t)[gain], t) for t in curve.trials if gain in gains(record, t)]
        heights += [mean(values_of(t, quality)) for _, t in points]
        _line(drawn, record, curve, sorted(points, key=lambda p: p[0]), place)
    dense = record.dense.get(quality)
    bounds = chart.opening_range(heights, must_show=[scaled(quality, dense)] if dense is not None else [])
    drawn.update_yaxes(range=bounds)
    _doublings(drawn, [gains(record, t)[gain] for c in found for t in c.trials if gain in gains(record, t)])
    if dense is not None:
        chart.level(drawn, scaled(quality, dense), f"dense {with_unit(quality, dense)}", chart.DENSE)
    lines = " Lines join the means over the replicates." if on_a_grid(record) else ""
    caption = means + lines + chart.outside(heights, bounds)
    return Chart(
        f"tradeoff-{gain.partition(' ')[0]}", f"{name_of(quality)} against {gain}", caption, figure=drawn
    )


def _line(
    drawn: go.Figure,
    record: StudyRecord,
    curve: Tradeoff,
    points: Sequence[tuple[float, TrialRecord]],
    place: int,
) -> None:
    quality = quality_of(record)
    spreads = [values_of(t, quality) for _, t in points]
    color = chart.SERIES[place % len(chart.SERIES)]
    drawn.add_scatter(
        x=[gain for gain, _ in points],
        y=[mean(values) for values in spreads],
        error_y={
            "array": [max(values) - mean(values) for values in spreads],
            "arrayminus": [mean(values) - min(values) for values in spreads],
            "symmetric": False,
            "thickness": 1,
            "width": 2,
        },
        mode="lines+markers" if on_a_grid(record) else "markers",
        name=chart.text(curve.label, 40),
        line={"color": color, "width": 2, "dash": _DASHES[place // len(chart.SERIES) % len(_DASHES)]},
        marker={"color": color, "size": 6},
        hovertext=[_hover(record, curve, trial) for _, trial in points],
        hoverinfo="text",
    )


def _hover(record: StudyRecord, curve: Tradeoff, trial: TrialRecord) -> str:
    quality = quality_of(record)
    values = values_of(trial, quality)
    unit = unit_of(quality) and f" {unit_of(quality)}"
    reached = f"{mean(values):.2f}{unit}"
    if (dense := record.dense.get(quality)) is not None:
        reached += f" ({difference(quality, trial.metrics.get(quality, dense) - dense)})"
    told = [f"{times:.3g} times {gain}" for gain, times in gains(record, trial).items()]
    return "<br>".join([f"<b>{chart.text(curve.label)}</b>", reached, *told])


def _doublings(drawn: go.Figure, times: Sequence[float]) -> None:
    """Make the x axis logarithmic, labelled at powers of two."""
    low, high = math.log10(min(1.0, *times)), math.log10(max(times))
    room = 0.03 * (high - low) or 0.1
    ticks = [
        2.0**power for power in range(math.floor(low / math.log10(2)), math.ceil(high / math.log10(2)) + 1)
    ]
    drawn.update_xaxes(
        type="log",
        range=[low - room, high + room],
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        tickangle=0,
    )
