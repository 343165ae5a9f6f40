"""Where each method leaves its weights, and what gradient flows there: the GraSP paper's figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import compact, percent
from sweeps.report.sparse.method_curves import MethodCurve, colors, lowest_common_density, method_curves
from sweeps.study.record import StudyRecord, TrialRecord
from trainables.metric_names import GRADIENT_NORM

_MOST_LABELS, _MOST_LEVELS = 14, 6


def method_layers_charts(record: StudyRecord) -> list[Chart]:
    """Draw the share kept in each layer and the gradient norm over training, by method.

    Both are at the least density that all were run at.
    """
    found = [curve for curve in method_curves(record) if curve.control == "none"]
    common = lowest_common_density(found) if found else None
    if common is None or len(found) < 2:
        return []
    trials = {curve.label: curve.nearest(common) for curve in found}
    by_label = _colors(found)
    at = f"{percent(common)} % of the weights kept"
    charts = [_shares(trials, by_label, at)] if any(trial.layers for trial in trials.values()) else []
    if any(GRADIENT_NORM in epoch for trial in trials.values() for epoch in trial.history):
        histories = {label: trial.history for label, trial in trials.items()}
        charts.append(_gradients(histories, by_label, f"By method, {at}; means over the replicates."))
    return charts


def level_gradients_chart(trial: TrialRecord) -> Chart | None:
    """Draw the gradient norm while the tickets of up to six levels were trained.

    None where it was not measured.
    """
    told = [
        level for level in trial.levels if any(GRADIENT_NORM in epoch for epoch in level.get("history", ()))
    ]
    if not told:
        return None
    shown = told[:: -(-len(told) // _MOST_LEVELS)]
    histories = {f"{percent(level['density'])} %": level["history"] for level in shown}
    by_label = dict(zip(histories, chart.ramp(len(histories)), strict=True))
    return _gradients(histories, by_label, "Tickets by the weights they keep; means over the replicates.")


def _colors(found: Sequence[MethodCurve]) -> dict[str, str]:
    if any(curve.rest for curve in found):
        return {curve.label: chart.SERIES[place % len(chart.SERIES)] for place, curve in enumerate(found)}
    return {curve.label: colors(found)[curve.method] for curve in found}


def _shares(trials: Mapping[str, TrialRecord], by_label: Mapping[str, str], at: str) -> Chart:
    """Draw lines over the layers in the network's order (Wang, Zhang & Grosse 2020, figure 2)."""
    drawn = chart.figure("", "Weights kept, %", height=440)
    names = list(dict.fromkeys(name for trial in trials.values() for name in trial.layers))
    for label, trial in trials.items():
        _add_shares(drawn, trial, names, label, by_label[label])
    every = -(-len(names) // _MOST_LABELS)
    places = list(range(0, len(names), every))
    drawn.update_xaxes(
        tickvals=places,
        ticktext=[chart.text(names[p], 16) for p in places],
        range=[-0.4, len(names) - 0.6],
        tickangle=-40,
    )
    chart.log_heights(drawn, [share for trace in drawn.data for share in trace.y if share])
    emptied = {
        label: [n for n, layer in t.layers.items() if not layer["params"]] for label, t in trials.items()
    }
    caption = f"Layers in the network's order, {at} in all, by the first replicate's masks."
    if lost := "; ".join(f"{label} {', '.join(layers)}" for label, layers in emptied.items() if layers):
        caption += f" Layers without any weight left are not drawn: {lost}."
    return Chart("method-layers", "Weights kept in each layer, by method", caption, drawn)


def _add_shares(drawn: go.Figure, trial: TrialRecord, names: Sequence[str], label: str, color: str) -> None:
    """Draw one method's line.

    A logarithmic axis has no zero: an emptied layer is a gap.
    """
    layers: list[Mapping[str, float]] = [
        trial.layers.get(name, {"params": 1, "dense_params": 1}) for name in names
    ]
    drawn.add_scatter(
        x=list(range(len(names))),
        y=[100 * layer["params"] / layer["dense_params"] or None for layer in layers],
        mode="lines+markers",
        name=chart.text(label, 40),
        line={"color": color, "width": 2},
        marker={"size": 6},
        hovertext=[
            f"<b>{chart.text(name)}</b>, {chart.text(label)}<br>"
            f"{compact(layer['params'])} of {compact(layer['dense_params'])} weights"
            for name, layer in zip(names, layers, strict=True)
        ],
        hoverinfo="text",
    )


def _gradients(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], by_label: Mapping[str, str], which: str
) -> Chart:
    drawn = chart.figure("Epoch", "Gradient norm", height=380)
    for label, history in histories.items():
        epochs = [
            (place, epoch[GRADIENT_NORM]) for place, epoch in enumerate(history, 1) if GRADIENT_NORM in epoch
        ]
        drawn.add_scatter(
            x=[place for place, _ in epochs],
            y=[norm or None for _, norm in epochs],
            mode="lines+markers",
            name=chart.text(label, 40),
            line={"color": by_label[label], "width": 2},
            marker={"size": 4},
            hovertemplate=f"{chart.text(label)}, epoch %{{x}}: %{{y:.3g}}<extra></extra>",
        )
    chart.log_heights(drawn, [norm for trace in drawn.data for norm in trace.y if norm])
    chart.whole_steps(drawn, 1, max(len(history) for history in histories.values()))
    caption = f"L2 norm of the gradient, averaged over steps of each epoch. {which}"
    return Chart("gradients", "Gradient norm during training", caption, drawn)
