"""Which parameters the value depended on."""

import warnings

import optuna
from optuna.importance import get_param_importances

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import count
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
        try:
            shares = get_param_importances(record.study)
        except (ValueError, RuntimeError, UserWarning) as error:
            return {}, f"Importance could not be computed: {error}"
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0]))), ""


def importance_chart(shares: dict[str, float], reason: str) -> Chart:
    """Draw the first twenty parameters.

    The caption says how many more there are and what they weigh together.
    """
    if not shares:
        return Chart("importance", _TITLE, reason)
    shown = dict(list(shares.items())[:_SHOWN])
    names = [chart.text(name, 28) for name in shown]
    rows = list(range(len(shown)))
    figure = chart.figure("Importance, %", "", height=84 + 24 * len(shown))
    figure.add_bar(
        x=[100 * share for share in shown.values()],
        y=rows,
        orientation="h",
        marker={"color": chart.TRIAL},
        width=0.66,
        text=[f"{100 * share:.1f}" for share in shown.values()],
        textposition="outside",
        cliponaxis=False,
        hovertext=[f"<b>{chart.text(name)}</b><br>{100 * share:.1f} %" for name, share in shown.items()],
        hoverinfo="text",
    )
    figure.update_yaxes(
        tickvals=rows, ticktext=names, showgrid=False, title_text=None, range=[len(rows) - 0.4, -0.6]
    )
    figure.update_layout(showlegend=False, margin={"t": 8, "r": 36})
    return Chart("importance", _TITLE, _caption(shares, len(shown)), figure)


def _caption(shares: dict[str, float], shown: int) -> str:
    caption = "Share of the explained variation by PED-ANOVA, over the complete trials."
    if rest := list(shares.values())[shown:]:
        caption += f" {count(len(rest), 'further parameter')} share the remaining {100 * sum(rest):.1f} %."
    return caption
