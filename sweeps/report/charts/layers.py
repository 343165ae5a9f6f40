"""What each layer became: the method's own answer beside the best found."""

from collections.abc import Mapping

import plotly.graph_objects as go

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import compact, count, has_masks, method_of, percent
from sweeps.study.record import StudyRecord, TrialRecord

_TITLES = {"rank": "Rank and subspaces per layer", "channels": "Channels per layer"}
_DENSITIES = "Density per layer"
_LABELS = {
    "rank": "rank × subspaces; the layer's error is under the pointer",  # noqa: RUF001
    "channels": "the channels that a layer makes, of those that it made",
}


def layers_chart(record: StudyRecord) -> Chart:
    """Draw the density of each layer (parameters after over before).

    Labels read rank x subspaces, the channels kept, or the density where a mask is.

    The layers are those of the first replicate.
    """
    own, best = (t if t is not None and t.layers else None for t in (record.own, record.best))
    groups = [(own, "method's own answer", chart.OWN)] if own else []
    if best is not None and (own is None or best.key != own.key):
        groups.append((best, f"best found ({method_of(best)})", chart.BEST))
    shown = [layer for trial, _, _ in groups for layer in trial.layers.values()]
    told = [key for key in _LABELS if any(key in layer for layer in shown)]
    title = _TITLES[told[0]] if told else _DENSITIES if shown or has_masks(record) else _TITLES["rank"]
    if not groups:
        return Chart("layers", title, "Nothing to draw yet: no finished network has compressed layers.")
    names = list(dict.fromkeys(name for trial, _, _ in groups for name in trial.layers))
    rows = {name: place for place, name in enumerate(names)}
    figure = chart.figure("Density, %", "", height=110 + (14 + 14 * len(groups)) * len(names))
    for trial, label, color in groups:
        _add_bars(figure, trial, label, color, rows)
    figure.update_yaxes(
        tickvals=list(rows.values()),
        ticktext=[chart.text(n, 26) for n in names],
        showgrid=False,
        title_text=None,
    )
    figure.update_yaxes(range=[len(names) - 0.4, -0.6])
    figure.update_xaxes(rangemode="tozero")
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.12, margin={"r": 56})
    caption = "Density is the share of the layer's parameters kept; layers not listed stayed dense."
    if told:
        caption += f" Labels read {'; or '.join(_LABELS[key] for key in told)}."
    if len(groups) == 1 and own is not None and best is not None:
        caption += " The best found is the method's own answer."
    return Chart("layers", title, caption, figure)


def _add_bars(figure: go.Figure, trial: TrialRecord, label: str, color: str, rows: dict[str, int]) -> None:
    """Draw one network's layers.

    A layer that this network left dense, and the other did not, is a full bar.
    """
    layers = [trial.layers.get(name) for name in rows]
    figure.add_bar(
        x=[100 * layer["params"] / layer["dense_params"] if layer else 100 for layer in layers],
        y=list(rows.values()),
        orientation="h",
        name=chart.text(label),
        marker={"color": color},
        text=[_label(layer) for layer in layers],
        textposition="outside",
        textfont={"size": 11, "color": chart.MUTED},
        cliponaxis=False,
        hovertext=[
            f"<b>{chart.text(name)}</b>, {chart.text(label)}<br>{_hover(layer)}"
            for name, layer in zip(rows, layers, strict=True)
        ],
        hoverinfo="text",
    )


def _label(layer: Mapping[str, float] | None) -> str:
    if not layer:
        return "dense"
    if "in_rank" in layer:
        return f"{compact(layer['rank'])}, {compact(layer['in_rank'])}"
    if "rank" in layer:
        return f"{compact(layer['rank'])} × {compact(layer['num_subspaces'])}"  # noqa: RUF001
    if "channels" in layer:
        return f"{compact(layer['channels'])} of {compact(layer['dense_channels'])}"
    return percent(layer["params"] / layer["dense_params"])


def _hover(layer: Mapping[str, float] | None) -> str:
    if not layer:
        return "left dense"
    lines = []
    if "rank" in layer:
        lines.append(f"rank {compact(layer['rank'])}, {_beside_rank(layer)}")
    if "channels" in layer:
        lines.append(f"{compact(layer['channels'])} of {compact(layer['dense_channels'])} channels")
    lines.append(
        f"{compact(layer['params'])} of {compact(layer['dense_params'])} "
        f"{'parameters' if lines else 'weights'}"
    )
    if "error" in layer:
        lines.append(f"error {compact(layer['error'])}")
    return "<br>".join(lines)


def _beside_rank(layer: Mapping[str, float]) -> str:
    if "in_rank" in layer:
        return count(int(layer["in_rank"]), "input channel")
    return count(int(layer["num_subspaces"]), "subspace")
