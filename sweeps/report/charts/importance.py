"""Which parameters the value depended on."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import plotly.graph_objects as go
from optuna.importance import PedAnovaImportanceEvaluator

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import count, short_names
from sweeps.study.record import StudyRecord

_SHOWN = 20
_TITLE = "Parameter importance"


def importances(record: StudyRecord) -> tuple[dict[str, float], str]:
    """Return each parameter's share of importance, largest first; or none, and a sentence why.

    The shares sum to one, by PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023).
    """
    complete = record.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(complete) < 2:
        return {}, "Importance needs at least two complete trials."
    if len({name for trial in complete for name in trial.params}) < 2:
        return {}, "Importance compares parameters, and this study searches fewer than two."
    with warnings.catch_warnings():
        # Optuna warns where it gives up and calls all parameters equal: that is no answer to show.
        warnings.simplefilter("error", UserWarning)
        # It leaves out what stands under a choice that was made once, and tells the rest.
        warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
        try:
            found = PedAnovaImportanceEvaluator().evaluate(record.study)
        except (ValueError, RuntimeError, UserWarning) as error:
            return {}, f"Importance could not be computed: {error}"
    whole = sum(found.values())
    if not whole:
        return {}, "Importance could not be computed: no parameter tells the best trials from the others."
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {name: share / whole for name, share in ordered}, ""


def importance_charts(shares: dict[str, float], reason: str) -> list[Chart]:
    """Draw the first twenty parameters and, where they are of layers, what each stage weighs together.

    A stage is what stands before the first point of a layer's name, as in ``layer1.0.conv2``. The caption
    says how many more parameters there are and what they weigh.
    """
    if not shares:
        return [Chart("importance", _TITLE, reason)]
    groups = _groups(shares)
    shown = list(shares.items())[:_SHOWN]
    figure = chart.figure("Importance, %", "", height=84 + 24 * len(shown))
    for group, color in groups.items():
        bars = [(row, name, share) for row, (name, share) in enumerate(shown) if _group_of(name) == group]
        if not bars:
            continue
        figure.add_bar(
            x=[100 * share for *_, share in bars],
            y=[row for row, *_ in bars],
            name=chart.text(group),
            marker={"color": color},
            hovertext=[f"<b>{chart.text(name)}</b><br>{100 * share:.1f} %" for _, name, share in bars],
            **_bars([share for *_, share in bars]),
        )
    labels, several = short_names(shares), len(groups) > 1
    _rows(figure, [chart.text(labels[name], 28) for name, _ in shown])
    figure.update_layout(barmode="overlay", showlegend=several, margin={"t": 36 if several else 8})
    stages = {_group_of(name) for name in shares if "/" in name}
    by_stage = _stages_chart(shares, groups) if len(stages) > 1 and len(groups) < len(shares) else None
    half = by_stage is not None
    drawn = Chart("importance", _TITLE, _caption(shares, len(shown)), figure, half=half)
    return [drawn, *([by_stage] if by_stage else [])]


def _stages_chart(shares: Mapping[str, float], groups: Mapping[str, str]) -> Chart:
    sums = {group: sum(s for name, s in shares.items() if _group_of(name) == group) for group in groups}
    figure = chart.figure("Importance, %", "", height=84 + 24 * len(sums))
    figure.add_bar(
        x=[100 * share for share in sums.values()],
        y=list(range(len(sums))),
        marker={"color": list(groups.values())},
        hovertext=[f"<b>{chart.text(group)}</b><br>{100 * share:.1f} %" for group, share in sums.items()],
        **_bars(list(sums.values())),
    )
    _rows(figure, [chart.text(group, 24) for group in sums])
    figure.update_layout(showlegend=False, margin={"t": 8})
    caption = (
        "What the parameters of a stage weigh together, of no layer those of a section of the sweep file."
    )
    return Chart("importance-stages", "Importance by stage", caption, figure, half=True)


def _groups(shares: Mapping[str, float]) -> dict[str, str]:
    """Return the stages, or sections of the sweep file, with their colours, in order of their names."""
    names = sorted({_group_of(name) for name in shares})
    return {name: chart.SERIES[place % len(chart.SERIES)] for place, name in enumerate(names)}


def _group_of(name: str) -> str:
    """Return the stage of a layer's parameter, or the section of the sweep file that it is a key of."""
    whole, _, _ = name.partition("/")
    stage, _, rest = whole.partition(".")
    return stage if rest or whole != name else "other"


def _bars(shares: Sequence[float]) -> dict[str, Any]:
    """Return what all bars share: they lie, with their values behind them."""
    return {
        "orientation": "h",
        "width": 0.66,
        "text": [f"{100 * share:.1f}" for share in shares],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "text",
    }


def _rows(figure: go.Figure, names: Sequence[str]) -> None:
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=list(names),
        showgrid=False,
        title_text=None,
        range=[len(names) - 0.4, -0.6],
    )
    figure.update_layout(margin={"r": 36})


def _caption(shares: dict[str, float], shown: int) -> str:
    caption = "Share of the explained variation by PED-ANOVA, over the complete trials."
    if rest := list(shares.values())[shown:]:
        caption += f" {count(len(rest), 'further parameter')} share the remaining {100 * sum(rest):.1f} %."
    return caption
