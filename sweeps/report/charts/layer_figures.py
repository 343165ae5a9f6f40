"""What each layer has of every figure that was chosen: the method's own answer beside the best found."""

import math
from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import compact, method_of
from sweeps.study.record import StudyRecord, TrialRecord

Layer = Mapping[str, float]
_OUTLINE = {"color": "#ffffff", "width": 1}
_WIDE = 100.0  # greatest over least error beyond which its axis is logarithmic
_PANELS = {
    "rank": "Rank",
    "num_subspaces": "Subspaces",
    "channels": "Channels",
    "error": "Error",
    "share": "Share of the budget, %",
}


def layer_figures_chart(record: StudyRecord) -> Chart | None:
    """Draw each layer's rank, subspaces, channels, error and its share of all weights kept, a panel each.

    None while no network has compressed layers.
    """
    own, best = (t if t is not None and t.layers else None for t in (record.own, record.best))
    groups = [(own, "method's own answer", chart.OWN, "diamond")] if own else []
    if best is not None and (own is None or best.key != own.key):
        groups.append((best, f"best found ({method_of(best)})", chart.BEST, "circle"))
    if not groups:
        return None
    layers = {trial.key: _with_shares(trial) for trial, *_ in groups}
    names = list(dict.fromkeys(name for found in layers.values() for name in found))
    every = [layer for found in layers.values() for layer in found.values()]
    told = [key for key in _PANELS if any(key in layer for layer in every)]
    figure = make_subplots(1, len(told), shared_yaxes=True, horizontal_spacing=0.03)
    for column, key in enumerate(told, 1):
        at = {"row": 1, "col": column}
        if len(groups) == 2:
            _add_between(figure, [_of(layers[trial.key], key) for trial, *_ in groups], names, at)
        for trial, label, color, symbol in groups:
            values = _of(layers[trial.key], key)
            shown = [name for name in names if values(name) is not None]
            figure.add_scatter(
                x=[values(name) for name in shown],
                y=[names.index(name) for name in shown],
                mode="markers",
                name=chart.text(label),
                legendgroup=label,
                showlegend=column == 1,
                marker={"color": color, "symbol": symbol, "size": 9, "line": _OUTLINE},
                hovertext=[_hover(name, label, key, values(name)) for name in shown],
                hoverinfo="text",
                **at,
            )
        found = [v for trial, *_ in groups for n in names if (v := _of(layers[trial.key], key)(n))]
        if key == "error" and found and max(found) > _WIDE * min(found):
            figure.update_xaxes(type="log", exponentformat="power", nticks=4, **at)
        figure.update_xaxes(title={"text": _PANELS[key], "font": {"color": chart.MUTED, "size": 12}}, **at)
    _styled(figure, names)
    caption = (
        "A layer's share of the budget is its part of all weights that the compressed layers keep; "
        "layers not listed stayed dense."
    )
    title = "Each layer against the method's own answer" if own else "What each layer has"
    return Chart("layer-figures", title, caption, figure, least_width=160 + 130 * len(told))


def _with_shares(trial: TrialRecord) -> dict[str, dict[str, float]]:
    whole = sum(layer["params"] for layer in trial.layers.values()) or math.nan
    return {name: {**layer, "share": 100 * layer["params"] / whole} for name, layer in trial.layers.items()}


def _of(layers: Mapping[str, Layer], key: str) -> Callable[[str], float | None]:
    return lambda name: layers.get(name, {}).get(key)


def _add_between(
    figure: go.Figure,
    values: Sequence[Callable[[str], float | None]],
    names: Sequence[str],
    at: Mapping[str, int],
) -> None:
    """Join the two values of each layer that both networks have."""
    x: list[float | None] = []
    y: list[int | None] = []
    for row, name in enumerate(names):
        ends = [each(name) for each in values]
        if None not in ends:
            x += [*ends, None]
            y += [row, row, None]
    style = {"color": chart.MUTED, "width": 1.5}
    figure.add_scatter(x=x, y=y, mode="lines", line=style, hoverinfo="skip", showlegend=False, **at)


def _styled(figure: go.Figure, names: Sequence[str]) -> None:
    legend = chart.figure("", "").layout.legend
    margin = {"l": 12, "r": 16, "t": 36, "b": 24}
    chart.style(figure, 120 + 22 * len(names), showlegend=True, legend=legend, margin=margin)
    ticks = {"color": chart.MUTED, "size": 11}
    figure.update_xaxes(gridcolor=chart.RULE, tickfont=ticks, zeroline=False, automargin=True)
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[chart.text(name, 26) for name in names],
        range=[len(names) - 0.4, -0.6],
        gridcolor=chart.RULE,
        tickfont={"size": 11},
        zeroline=False,
        automargin=True,
    )


def _hover(name: str, label: str, key: str, value: float | None) -> str:
    told = compact(value) if value is not None else ""
    return f"<b>{chart.text(name)}</b>, {chart.text(label)}<br>{_PANELS[key]}: {told}"
