"""What every chart of the report shares: its colours, its calm layout, the range it opens with.

Optuna draws the parallel coordinates. Its figures are no base for front, history and importance: they draw
the study's rows, without baselines, replicates and the dense network; their history has no line of the best
so far once its values are shown in per cent; their front writes every trial's parameters into the page
(4.5 MB for 3,000 trials of 20 parameters); their importances are computed again, though the table of trials
needs them too.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

INK, MUTED, RULE = "#1d2530", "#566170", "#e4e8ed"
TRIAL, BEST, OWN, DENSE, BASELINE, FAILED = "#5b8fc7", "#c2500f", "#0b7a6f", "#1d2530", "#7a5ea8", "#b3261e"
SERIES = (
    "#c2500f",
    "#2f6db3",
    "#0b7a6f",
    "#7a5ea8",
    "#a8820b",
    "#b3264e",
    "#4b7f2a",
    "#566170",
    "#1f9bb5",
    "#8a5a3c",
)
"""Colours of lines that are told apart by nothing else."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Table:
    """A table of the report; a row begins with its head, a cell is a text and what stands small below it."""

    heads: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class Chart:
    """One section of the report; with neither figure nor table the caption says why.

    A ``half`` has another one beside it where the page is wide; below ``least_width`` (CSS pixels) a figure
    is scrolled sideways.
    """

    anchor: str
    title: str
    caption: str
    figure: go.Figure | None = None
    table: Table | None = None
    half: bool = False
    least_width: int = 0


def style(made: go.Figure, height: int, **more: Any) -> None:
    """Give a figure that others make the report's style, and the layout ``more``.

    ``height`` is in CSS pixels.
    """
    layout = figure("", "", height).layout
    shared = ("height", "font", "paper_bgcolor", "plot_bgcolor", "hoverlabel")
    made.update_layout(template="none", **{n: layout[n] for n in shared}, **more)


def figure(x_title: str, y_title: str, height: int = 380) -> go.Figure:
    """Return an empty figure in the report's style.

    ``height`` is in CSS pixels, the width follows the page.
    """
    axis = {
        "gridcolor": RULE,
        "linecolor": RULE,
        "zeroline": False,
        "automargin": True,
        "tickfont": {"color": MUTED},
        "title": {"font": {"color": MUTED, "size": 12}, "standoff": 12},
    }
    chart = go.Figure()
    chart.update_layout(
        template="none",
        height=height,
        showlegend=True,
        margin={"l": 12, "r": 16, "t": 36, "b": 12},
        font={"family": FONT, "size": 12, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={
            "bgcolor": "#ffffff",
            "bordercolor": RULE,
            "font": {"family": FONT, "size": 12, "color": INK},
            "align": "left",
        },
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": 12},
        },
        xaxis=axis,
        yaxis=axis,
    )
    chart.update_xaxes(title_text=x_title)
    chart.update_yaxes(title_text=y_title)
    return chart


def text(label: str, width: int | None = None) -> str:
    """Return a name as plotly's text, which reads HTML.

    Longer than ``width`` characters it loses its middle.
    """
    if width is not None and len(label) > width:
        head = (width - 1) // 2
        label = f"{label[:head]}…{label[len(label) - (width - 1 - head) :]}"
    return html.escape(label)


def whole_steps(chart: go.Figure, first: int, last: int) -> None:
    """Count the x axis in whole numbers, with at most about eight ticks."""
    room = 0.02 * (last - first) + 0.4
    chart.update_xaxes(range=[first - room, last + room], tick0=0, dtick=_whole_step((last - first) / 8))


def _whole_step(least: float) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50, ... that is not below ``least``."""
    return next(s for power in range(12) for s in (10**power, 2 * 10**power, 5 * 10**power) if s >= least)


def log_heights(chart: go.Figure, values: Sequence[float]) -> None:
    """Make the y axis logarithmic around positive ``values``, every label written out.

    Labels are 0.1, 0.2, 0.5, 1, ..., or powers of ten alone over many.
    """
    low, high = math.log10(min(values)), math.log10(max(values))
    room = 0.05 * (high - low) or 0.1
    low, high = low - room, high + room
    digits = (1,) if high - low > 4 else (1, 2, 5) if high - low > 0.8 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    ticks = [digit * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for digit in digits]
    chart.update_yaxes(
        type="log", range=[low, high], tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks]
    )


def faint(color: str, opacity: float = 0.14) -> str:
    """Return a ``#rrggbb`` colour as a band's filling."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def ramp(amount: int) -> list[str]:
    """Return so many colours from dark to light, for lines in an order."""
    dark, light = np.array([23, 60, 97]), np.array([226, 141, 66])
    return [
        f"#{red:02x}{green:02x}{blue:02x}"
        for red, green, blue in np.rint(np.linspace(dark, light, amount)).astype(int)
    ]


def level(chart: go.Figure, value: float, label: str, color: str, *, below: bool = False) -> None:
    """Draw a labelled horizontal line across the chart, the label at its right end."""
    line, annotation = _labelled_line(label, color)
    chart.add_hline(
        y=value, line=line, annotation={**annotation, "x": 1, "yanchor": "top" if below else "bottom"}
    )


def upright(chart: go.Figure, value: float, label: str, color: str) -> None:
    """Draw a labelled vertical line up the chart, the label at its foot."""
    line, annotation = _labelled_line(label, color)
    chart.add_vline(x=value, line=line, annotation={**annotation, "y": 0, "yanchor": "bottom"})


def _labelled_line(label: str, color: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the style of a dashed line, and its label without a place."""
    annotation = {
        "text": label,
        "font": {"color": color, "size": 12},
        "xanchor": "right",
        "bgcolor": "rgba(255,255,255,.8)",
        "borderpad": 1,
    }
    return {"color": color, "width": 1.2, "dash": "dash"}, annotation


def opening_range(values: Sequence[float], *, must_show: Sequence[float] = ()) -> tuple[float, float]:
    """Return the range an axis opens with: everything but far outliers.

    They are beyond three interquartile ranges, so that one failure squashes nothing.
    """
    low, high = np.percentile(values, [25, 75])
    reach = 3 * (high - low)
    kept = [v for v in values if low - reach <= v <= high + reach] if reach else list(values)
    bounds = [*kept, *must_show]
    pad = 0.06 * (max(bounds) - min(bounds)) or 0.05 * abs(max(bounds)) or 1.0
    return float(min(bounds) - pad), float(max(bounds) + pad)


def widened(bounds: tuple[float, float], values: Sequence[float]) -> tuple[float, float]:
    """Return ``bounds`` with the ``values`` that are no further off than the bounds are apart."""
    reach = bounds[1] - bounds[0]
    near = [v for v in values if bounds[0] - reach <= v <= bounds[1] + reach]
    pad = 0.03 * reach
    return min([bounds[0], *(v - pad for v in near)]), max([bounds[1], *(v + pad for v in near)])


def outside(values: Sequence[float], bounds: tuple[float, float]) -> str:
    """Say what points the opening range leaves out, or nothing."""
    hidden = sum(not bounds[0] <= v <= bounds[1] for v in values)
    if not hidden:
        return ""
    return f" {hidden} of {len(values)} points lie outside the range shown."
