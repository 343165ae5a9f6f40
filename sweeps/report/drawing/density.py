"""Lines over the share of weights kept, each with its spread over replicates.

The papers on sparse networks draw these.
"""

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from sweeps.report.drawing import chart
from sweeps.report.drawing.wording import percent

_MOST_LABELS = 9
SPREAD = "Bands reach from the least to the greatest replicate, lines join the means."


@dataclass(frozen=True)
class Point:
    """The values of one density, one a replicate, in the unit shown.

    ``density`` is the share of prunable weights kept.
    """

    density: float
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return the mean over the replicates."""
        return statistics.fmean(self.values)


def figure(y_title: str, height: int = 400) -> go.Figure:
    """Return an empty figure over the share of weights kept."""
    return chart.figure("Weights kept, %", y_title, height)


def axis(drawn: go.Figure, densities: Collection[float]) -> None:
    """Make the x axis the share of weights kept, the dense network at the left.

    Its scale is logarithmic and its labels are densities drawn.
    """
    ends = math.log10(100 * max(densities)), math.log10(100 * min(densities))
    room = 0.03 * (ends[0] - ends[1]) or 0.1
    shown = _labelled(densities)
    drawn.update_xaxes(
        type="log",
        range=[ends[0] + room, ends[1] - room],
        tickvals=[100 * density for density in shown],
        ticktext=[percent(density) for density in shown],
        tickangle=0,
    )


def _labelled(densities: Collection[float]) -> list[float]:
    """Return the densities that are labelled: the densest and, from there on, those that leave room."""
    ordered = sorted(set(densities), reverse=True)
    gap = math.log(ordered[0] / ordered[-1]) / _MOST_LABELS
    shown = ordered[:1]
    for density in ordered[1:]:
        if math.log(shown[-1] / density) >= gap:
            shown.append(density)
    return shown


def line(
    drawn: go.Figure,
    points: Sequence[Point],
    label: str,
    color: str,
    *,
    unit: str = "",
    digits: int = 2,
    dash: str = "solid",
    mode: str = "lines+markers",
    band: bool = True,
    group: str = "",
) -> None:
    """Draw the means as a line (``mode`` and ``dash`` as plotly's).

    With ``band``, the replicates' range is drawn around it where there are several.

    A line that belongs to a ``group`` of the legend has no entry of its own there.
    """
    points = sorted(points, key=lambda p: -p.density)
    x = [100 * p.density for p in points]
    name = chart.text(label, 40)
    if band and "lines" in mode and any(len(set(p.values)) > 1 for p in points):
        around = [max(p.values) for p in points] + [min(p.values) for p in reversed(points)]
        style = {
            "fill": "toself",
            "fillcolor": chart.faint(color),
            "line": {"width": 0},
            "hoverinfo": "skip",
            "showlegend": False,
        }
        drawn.add_scatter(x=x + x[::-1], y=around, mode="lines", legendgroup=name, **style)
    drawn.add_scatter(
        x=x,
        y=[p.mean for p in points],
        mode=mode,
        name=name,
        legendgroup=group or name,
        showlegend=not group,
        line={"color": color, "width": 2, "dash": dash},
        marker={"color": color, "size": 6},
        hovertext=[_hover(label, p, unit, digits) for p in points],
        hoverinfo="text",
    )


def _hover(label: str, point: Point, unit: str, digits: int) -> str:
    lines = [
        f"<b>{chart.text(label)}</b>, {percent(point.density)} % of the weights",
        f"{point.mean:.{digits}f}{unit}",
    ]
    if len(point.values) > 1:
        lines.append(
            f"{min(point.values):.{digits}f} to {max(point.values):.{digits}f} "
            f"over {len(point.values)} replicates"
        )
    return "<br>".join(lines)
